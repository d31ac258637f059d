"""Forms of a layer: chosen by name all over a network, and the same function in each."""

import itertools

import numpy as np
import pytest

from kdiffusion.networks.attention import SelfAttention2D
from kdiffusion.networks.blocks import ResidualBlock
from kdiffusion.networks.layers import choose_forms
from kdiffusion.networks.resampling import Upsample
from kdiffusion.networks.unet import UNet

WITH_FORMS = [SelfAttention2D, Upsample, ResidualBlock]


@pytest.fixture(scope="module")
def network():
    unet = UNet((8, 8, 1), 3, 8, (1, 2), 1, (4,))
    rng = np.random.default_rng(0)
    unet.set_weights([rng.normal(size=w.shape, scale=0.2) for w in unet.get_weights()])
    return unet


def test_all_forms_of_a_network_predict_the_same(network):
    inputs = {
        "noisy_image": np.random.default_rng(1).normal(size=(2, 8, 8, 1)).astype("float32"),
        "timestep": np.array([3, 900], "int32"),
        "label": np.array([0, 3], "int32"),
    }
    found = {}
    for forms in itertools.product(*(layer.FORMS for layer in WITH_FORMS)):
        chosen = {layer.__name__: form for layer, form in zip(WITH_FORMS, forms, strict=True)}
        choose_forms(network, chosen)
        in_use = [x.form for x in network._flatten_layers() if isinstance(x, SelfAttention2D)]
        # One a block of that level, and one in the middle.
        assert in_use == [chosen["SelfAttention2D"]] * 4
        found[forms] = np.asarray(network(inputs))
    expected = found.pop(("plain", "resized", "plain"))
    assert np.std(expected) > 0.01
    for forms, prediction in found.items():
        np.testing.assert_allclose(prediction, expected, atol=1e-5, err_msg=str(forms))
        if "folded" in forms or "resized" not in forms:  # another way to get there
            assert np.any(prediction != expected), forms
