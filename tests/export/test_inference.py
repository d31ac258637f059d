"""What is exported computes in float32, whatever the network was trained in."""

import keras
import numpy as np
import pytest

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.export import export_network
from kdiffusion.export.inference import inference_network
from kdiffusion.export.verify import largest_deviation


def made_of_layers(card, policy, last=keras.layers.Conv2D):
    """A network with a model within, whose input has a dtype of its own too."""
    inputs = {
        "noisy_image": keras.Input(card.image_shape, name="noisy_image"),
        "timestep": keras.Input((), dtype="int32", name="timestep"),
        "label": keras.Input((), dtype="int32", name="label"),
    }
    x = keras.layers.Conv2D(8, 3, padding="same", dtype=policy)(inputs["noisy_image"])
    for name, rows in (("label", card.null_label + 1), ("timestep", len(card.alphas_cumprod))):
        row = keras.layers.Embedding(rows, 8, dtype=policy)(inputs[name])
        row = keras.layers.Reshape((1, 1, 8), dtype=policy)(row)
        x = keras.layers.Add(dtype=policy)([x, row])
    x = keras.ops.silu(x)
    x = keras.Sequential([keras.layers.Conv2D(8, 1, dtype=policy)])(x)
    return keras.Model(inputs, last(card.image_shape[-1], 3, padding="same", dtype="float32")(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_network_made_of_layers_becomes_float32(card, policy):
    network, float32 = made_of_layers(card, policy), made_of_layers(card, "float32")
    float32.set_weights(network.get_weights())
    images = np.random.default_rng(0).standard_normal((2, *card.image_shape)).astype(np.float32)
    inputs = {"noisy_image": images, "timestep": np.array([0, 9]), "label": np.array([3, 0])}
    expected = float32(inputs)
    np.testing.assert_array_equal(inference_network(network)(inputs), expected)
    assert np.abs(network(inputs) - expected).max() > 1e-4  # which half precision is not


def test_its_file_computes_in_float32(card, tmp_path):
    network, float32 = made_of_layers(card, "mixed_float16"), made_of_layers(card, "float32")
    float32.set_weights(network.get_weights())
    paths = export_network(network, card, tmp_path, ("onnx",))
    assert largest_deviation(float32, load_denoiser(paths["onnx"])) < 1e-5


@keras.saving.register_keras_serializable()
class Stubborn(keras.layers.Conv2D):
    """Computes in half precision whatever it is told."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options | {"dtype": "mixed_float16"})


def test_a_layer_that_stays_in_half_precision_is_refused_by_name(card):
    network = made_of_layers(card, "float32", last=Stubborn)
    with pytest.raises(ArtifactError, match=r"float32.*Received: stubborn, .* in float16"):
        inference_network(network)
