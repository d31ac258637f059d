import keras
import numpy as np
import pytest
from keras import ops

from kdiffusion.networks import resampling


@pytest.mark.parametrize("form", resampling.Upsample.FORMS)
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.3)])
@pytest.mark.parametrize("size", [(3, 4), (1, 1)])
def test_upsampling_is_nearest_neighbour_and_a_convolution(size, policy, tolerance, form):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *size, 5)).astype("float32")
    ours = resampling.Upsample(3, dtype=policy)
    ours.form = form
    theirs = keras.Sequential(
        [keras.layers.UpSampling2D(2), keras.layers.Conv2D(3, 3, padding="same")]
    )
    ours(x), theirs(x)
    theirs.set_weights([rng.normal(size=w.shape) for w in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ops.cast(ours(x), "float32"), theirs(x), atol=tolerance)


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_map_of_two_pixels_is_halved(symmetric):
    layer = resampling.Downsample(4, symmetric)
    assert layer(np.ones((1, 2, 2, 3), "float32")).shape == (1, 1, 1, 4)
