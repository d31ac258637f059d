"""A file of weights: what it holds comes back to the bit, and makes its network again."""

import numpy as np
import pytest

from kdiffusion.artifacts import ArtifactError
from kdiffusion.artifacts.safetensors_loader import StoredWeights, build, read
from kdiffusion.export.formats import export_network
from kdiffusion.networks import named_weights
from kdiffusion.networks.unet import UNet
from tests.networks.layer_values import randomise


@pytest.fixture(scope="module")
def network(card):
    """A network whose arguments are not the defaults."""
    made = UNet(
        card.image_shape, 3, 8, (1, 2), 1, (3,), embedding_channels=12, scale_shift=True,
        dropout=0.25,
    )  # fmt: skip
    randomise(made)
    return made


@pytest.fixture(scope="module")
def files(network, card, tmp_path_factory):
    formats = ("safetensors", "safetensors_float16")
    return export_network(network, card, tmp_path_factory.mktemp("weights"), formats)


def test_card_weights_and_arguments_come_back_to_the_bit(files, network, card):
    stored = read(files["safetensors"])
    assert stored.card == card
    for name, variable in named_weights(network).items():
        np.testing.assert_array_equal(stored.weights[name], variable)
    again, config = build(stored), network.get_config()
    assert type(again) is type(network)
    assert {**again.get_config(), "name": None} == {**config, "name": None}
    np.testing.assert_equal(again.get_weights(), network.get_weights())


def test_in_float16_kernels_are_rounded_and_what_has_one_dimension_is_not(files, network):
    whole, half = (files[name].stat().st_size for name in ("safetensors", "safetensors_float16"))
    assert half < 0.6 * whole
    stored = read(files["safetensors_float16"]).weights
    for name, variable in named_weights(network).items():
        exact = np.asarray(variable)
        assert stored[name].dtype == np.float32
        np.testing.assert_array_equal(
            stored[name], exact.astype(np.float16) if exact.ndim > 1 else exact
        )


def test_other_weights_than_the_networks_are_refused(files):
    stored = read(files["safetensors"])
    weights = dict(stored.weights)
    weights.pop("conv_in/kernel")
    with pytest.raises(ArtifactError, match="conv_in/kernel"):
        build(StoredWeights(stored.card, weights, stored.network_class, stored.network))


def test_a_network_of_another_class_is_refused(card, tmp_path):
    class Other(UNet):
        pass

    other = Other(card.image_shape, 3, 8, (1,), 1, ())
    with pytest.raises(ValueError, match=r"`network`.*Other"):
        export_network(other, card, tmp_path, ("safetensors",))
