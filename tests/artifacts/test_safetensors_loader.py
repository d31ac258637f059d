"""A file of weights: what it holds, and what it is refused for before anything is built."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.artifacts.network_description import NETWORK_CLASSES
from kdiffusion.artifacts.safetensors_loader import METADATA_KEY, read
from kdiffusion.export import export_network
from kdiffusion.networks import UNet
from kdiffusion.networks.unet2d import UNet2D
from kdiffusion.networks.weights import named_weights


@pytest.fixture(scope="module")
def network(card):
    made = UNet(card.image_shape, 3, 8, (1, 2), 1, (3,), embedding_channels=12, scale_shift=True)
    rng = np.random.default_rng(0)
    made.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def files(network, card, tmp_path_factory):
    formats = ("safetensors", "safetensors_float16")
    return export_network(network, card, tmp_path_factory.mktemp("weights"), formats)


def test_it_holds_the_weights_by_name_to_the_bit(files, network, card):
    stored = read(files["safetensors"])
    named = named_weights(network)
    assert stored.weights.keys() == named.keys()
    for name, variable in named.items():
        np.testing.assert_array_equal(stored.weights[name], variable)
    assert stored.card == card


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


def test_every_argument_of_the_network_comes_back(files, network):
    stored = read(files["safetensors"]).network
    fields, config = NETWORK_CLASSES["unet"].fields, network.get_config()
    assert stored.keys() == fields == config.keys() - {"dtype", "name"}
    assert stored == {name: config[name] for name in fields}
    assert (stored["embedding_channels"], stored["scale_shift"]) == (12, True)


def test_a_network_of_the_other_class_comes_back(card, tmp_path):
    network = UNet2D(
        card.image_shape, 3, (8, 16), 1, (False, True), (True, False), head_channels=4,
        norm_groups=4, norm_epsilon=1e-3, symmetric_padding=True, cosine_first=True,
        frequency_shift=0, embedding_channels=12, dropout=0.25, middle_norm_groups=2,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    network.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in network.get_weights()])
    (path,) = export_network(network, card, tmp_path, ("safetensors",)).values()  # and compared
    stored, config = read(path), network.get_config()
    assert stored.network_class == "unet2d"
    assert NETWORK_CLASSES["unet2d"].fields == config.keys() - {"dtype", "name"}
    assert network.from_config({**stored.network, "name": "unet2d"}).get_config() == config


def test_a_network_of_neither_class_is_refused(card, tmp_path):
    class Other(UNet):
        pass

    other = Other(card.image_shape, 3, 8, (1,), 1, ())
    with pytest.raises(ValueError, match=r"`network` must be one of UNet, UNet2D, .*Other"):
        export_network(other, card, tmp_path, ("safetensors",))


@pytest.fixture
def rewritten(files, tmp_path):
    """A function: the file with another description of its network, or other weights."""

    def rewrite(change=None, weights=None):
        with safe_open(files["safetensors"], framework="numpy") as file:
            facts = json.loads(file.metadata()[METADATA_KEY])
        facts["network"] |= change or {}
        del facts["seal"]
        metadata = {METADATA_KEY: json.dumps(facts)}
        path = tmp_path / "changed.safetensors"
        save_file({**load_file(files["safetensors"]), **(weights or {})}, path, metadata)
        return path

    return rewrite


def test_a_file_that_another_tool_wrote_again_is_read(rewritten, card):
    assert load_denoiser(rewritten()).card == card


@pytest.mark.parametrize(
    "change",
    [
        {"base_channels": 10**6}, {"channel_multipliers": [1, 10**5]}, {"blocks_per_level": 10**7},
        {"blocks_per_level": 2 * 10**3, "base_channels": 2}, {"blocks_per_level": 40},
        {"embedding_channels": 10**6}, {"num_classes": 10**9}, {"patch_size": 10**4},
        {"attention_heads": 10**9}, {"base_channels": -8}, {"base_channels": "8"},
        {"base_channels": 8.0}, {"channel_multipliers": []}, {"blocks_per_level": True},
        {"image_shape": [6, 4]}, {"image_shape": None}, {"num_classes": 4}, {"more": 1},
        {"attention_resolutions": [0]},
    ],
    ids=str,
)  # fmt: skip
def test_a_network_that_cannot_be_or_that_is_too_large_is_refused(rewritten, change):
    path = rewritten(change)
    with pytest.raises(ArtifactError) as error:
        load_denoiser(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"conv_in/kernel": np.zeros((3, 3, 3, 4), np.float32)}, "others for conv_in/kernel"),
        ({"conv_in/more": np.zeros(3, np.float32)}, "others for conv_in/more"),
        ({"conv_in/bias": np.zeros(8, np.int8)}, r"float32 or float16.*conv_in/bias"),
    ],
)
def test_weights_that_are_not_the_networks_are_refused(rewritten, weights, message):
    with pytest.raises(ArtifactError, match=message):
        load_denoiser(rewritten(weights=weights))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"card": 1}', 10**5 * "["])
def test_metadata_that_is_not_ours_is_refused(files, tmp_path, text):
    path = tmp_path / "other.safetensors"
    save_file(load_file(files["safetensors"]), path, {METADATA_KEY: text})
    with pytest.raises(ArtifactError) as error:
        load_denoiser(path)
    assert str(path) in str(error.value)
