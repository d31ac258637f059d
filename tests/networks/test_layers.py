import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kdiffusion.networks import layers
from kdiffusion.networks.layers import silu
from tests.networks.layer_values import MAP, random_inputs, randomise


def _value_and_slope(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y, tape.gradient(y, x)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 2**-7), ("float16", 2**-9)]
)
def test_value_and_slope_are_silus_to_the_rounding_of_the_type(dtype, tolerance):
    x = tf.cast(np.linspace(-12.0, 12.0, 481), dtype)
    exact = _value_and_slope(tf.nn.silu, tf.cast(x, tf.float64))
    for found, expected in zip(_value_and_slope(silu, x), exact, strict=True):
        assert found.dtype == dtype
        found = tf.cast(found, tf.float64)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=2e-7)


@pytest.mark.parametrize("arguments", [{}, {"use_bias": False, "activation": "relu"}])
def test_a_pointwise_dense_layer_equals_dense(arguments):
    x = random_inputs([MAP])[0]
    ours, theirs = layers.PointwiseDense(6, **arguments), keras.layers.Dense(6, **arguments)
    ours(x), theirs(x)
    randomise(theirs)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize(("channels", "groups"), [(16, 4), (128, 32), (192, 32), (3, 1), (64, 16)])
@pytest.mark.parametrize("size", [(4, 5), (1, 5), (5, 1)])
def test_group_norm_equals_keras_with_groups_of_four_channels_or_more(channels, groups, size):
    x = np.random.default_rng(0).normal(3.0, 2.0, (2, *size, channels)).astype("float32")
    ours, theirs = layers.GroupNorm(), keras.layers.GroupNormalization(groups, epsilon=1e-6)
    np.testing.assert_allclose(ours(x), theirs(x), atol=2e-5)


def test_group_norm_adds_its_shift_first_and_modulates_its_result():
    x, shift, modulation = random_inputs([MAP, (2, 16), (2, 32)])
    x, shift, norm = 2 * x + 3, 2 * shift - 1, layers.GroupNorm()
    gain, bias = (half[:, None, None, :] for half in np.split(modulation, 2, axis=-1))
    normed = np.asarray(norm(x + shift[:, None, None, :]))
    np.testing.assert_allclose(norm(x, shift), normed, atol=2e-5)
    np.testing.assert_allclose(norm(x, shift, modulation), normed * (1 + gain) + bias, atol=5e-5)


@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.3)])
@pytest.mark.parametrize("size", [(3, 4), (1, 1)])
def test_upsampling_is_nearest_neighbour_and_a_convolution(size, policy, tolerance):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *size, 5)).astype("float32")
    ours = layers.Upsample(3, dtype=policy)
    theirs = keras.Sequential(
        [keras.layers.UpSampling2D(2), keras.layers.Conv2D(3, 3, padding="same")]
    )
    ours(x), theirs(x)
    theirs.set_weights([rng.normal(size=w.shape) for w in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ops.cast(ours(x), "float32"), theirs(x), atol=tolerance)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_xla_compiles_the_gradient_of_upsampling(policy):
    layer = layers.Upsample(3, dtype=policy)
    layer.build((2, 4, 4, 5))

    @tf.function(jit_compile=True)
    def gradient(x):
        return tf.gradients(layer(x), x)[0]

    assert gradient(tf.ones((2, 4, 4, 5), layer.compute_dtype)).shape == (2, 4, 4, 5)
