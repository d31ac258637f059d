"""What is exported is what the source holds, and computes in float32."""

import keras
import numpy as np
import pytest

from kdiffusion import DiffusionModel
from kdiffusion.artifacts import load_denoiser
from kdiffusion.export.formats import export_network, export_run, largest_deviation
from kdiffusion.export.source import default_folder, inference_network
from kdiffusion.training.inputs import check_network
from tests.own_network import OwnNetwork, keras_inputs


def made_of_layers(card, policy):
    """A network with a model within, whose input has a dtype of its own too."""
    inputs = keras_inputs(card.image_shape)
    x = keras.layers.Conv2D(8, 3, padding="same", dtype=policy)(inputs["noisy_image"])
    for name, rows in (("label", card.null_label + 1), ("timestep", len(card.alphas_cumprod))):
        row = keras.layers.Embedding(rows, 8, dtype=policy)(inputs[name])
        row = keras.layers.Reshape((1, 1, 8), dtype=policy)(row)
        x = keras.layers.Add(dtype=policy)([x, row])
    x = keras.ops.silu(x)
    x = keras.Sequential([keras.layers.Conv2D(8, 1, dtype=policy)])(x)
    last = keras.layers.Conv2D(card.image_shape[-1], 3, padding="same", dtype="float32")
    return keras.Model(inputs, last(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_network_made_of_layers_becomes_float32(card, policy):
    network, float32 = made_of_layers(card, policy), made_of_layers(card, "float32")
    float32.set_weights(network.get_weights())
    images = np.random.default_rng(0).standard_normal((2, *card.image_shape)).astype(np.float32)
    inputs = {"noisy_image": images, "timestep": np.array([0, 9]), "label": np.array([3, 0])}
    expected = float32(inputs)
    np.testing.assert_array_equal(inference_network(network)(inputs), expected)
    assert np.abs(network(inputs) - expected).max() > 1e-4  # which half precision is not


def test_a_plain_subclass_is_exported_to_onnx(card, tmp_path):
    network = OwnNetwork(card.image_shape, card.null_label)
    model = DiffusionModel(network, card.schedule)
    paths = export_network(network, card, tmp_path, ["onnx"])
    assert largest_deviation(model.denoiser(card), load_denoiser(paths["onnx"])) < 1e-5


def test_a_global_policy_does_not_reach_the_copy(card):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = OwnNetwork(card.image_shape, card.null_label)
        check_network(network)
        copy = inference_network(network)
    finally:
        keras.config.set_dtype_policy("float32")
    assert copy.enter.compute_dtype == "float32"
    assert network.enter.compute_dtype == "bfloat16"


@pytest.mark.parametrize("source", ["digits", "hf://owner/name"])
def test_a_model_in_no_folder_of_the_users_needs_a_place(source):
    with pytest.raises(ValueError, match=f"`out` must be given.*{source}"):
        export_run(source)


def test_a_file_has_its_exports_beside_it_and_a_run_in_a_folder(tmp_path):
    (tmp_path / "file").touch()
    assert default_folder(tmp_path / "file") == tmp_path
    assert default_folder(tmp_path) == tmp_path / "export"
