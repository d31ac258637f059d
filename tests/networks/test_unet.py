import keras
import numpy as np
import pytest

from kdiffusion.networks.unet import UNet

DDPM_CIFAR10_PARAMETERS = 35_746_307  # Ho et al. 2020: "35.7 million"

SETTINGS = {
    "image_shape": (16, 8, 3),
    "num_classes": 3,
    "base_channels": 8,
    "channel_multipliers": (1, 3),
    "blocks_per_level": 1,
    "attention_resolutions": (4,),
    "attention_heads": 2,
    "embedding_channels": 10,
    "dropout": 0.25,
    "scale_shift": True,
    "patch_size": 2,
    "dtype": "mixed_bfloat16",
    "name": "mine",
}


def _inputs(image_shape, batch_size=2, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "noisy_image": rng.normal(size=(batch_size, *image_shape)).astype("float32"),
        "timestep": rng.integers(0, 1000, batch_size).astype("int32"),
        "label": rng.integers(0, 3, batch_size).astype("int32"),
    }


def test_the_cifar10_network_has_the_parameters_of_ddpm_and_those_of_its_labels():
    network = UNet((32, 32, 3), 10, 128, (1, 2, 2, 2), 2, (16,), dropout=0.1)
    label_table, label_half_of_first_dense = 11 * 128, 128 * 512
    assert network.count_params() == (
        DDPM_CIFAR10_PARAMETERS + label_table + label_half_of_first_dense
    )


def test_the_config_returns_every_argument_that_was_passed():
    assert UNet(**SETTINGS).get_config() == SETTINGS


def test_a_copy_from_the_config_with_the_same_weights_computes_the_same():
    network = UNet(**SETTINGS)
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(size=w.shape, scale=0.1) for w in network.get_weights()])
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    copy.set_weights(network.get_weights())
    inputs = _inputs(SETTINGS["image_shape"])
    np.testing.assert_array_equal(copy(inputs), network(inputs))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (12, 20, 3)])
def test_the_prediction_is_float32_of_the_image_shape_and_starts_at_zero(image_shape, dtype):
    network = UNet(image_shape, 3, 8, (1, 2, 2), 1, (2,), dtype=dtype)
    prediction = network(_inputs(image_shape, batch_size=3))
    assert prediction.dtype == "float32"
    np.testing.assert_array_equal(prediction, np.zeros((3, *image_shape)))


def test_attention_stands_where_the_resolutions_say():
    network = UNet((16, 16, 1), 3, 8, (1, 2, 2), 1, (8,))
    attentive = {layer.name for layer in network.layers if getattr(layer, "attention", None)}
    assert attentive == {"down_1_block_0", "up_1_block_0", "up_1_block_1"}


def test_every_input_matters():
    network = UNet((8, 8, 1), 3, 8, (1, 2), 1, (4,))
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(size=w.shape, scale=0.3) for w in network.get_weights()])
    inputs = _inputs((8, 8, 1))
    first = np.asarray(network(inputs))
    for name, value in inputs.items():
        assert np.abs(first - np.asarray(network({**inputs, name: value + 1}))).max() > 1e-2, name


@pytest.mark.parametrize("image_shape", [(30, 32, 3), (32, 34, 1)])
def test_a_size_that_the_levels_do_not_divide_is_refused(image_shape):
    with pytest.raises(ValueError, match="`image_shape` height and width must be divisible by 8"):
        UNet(image_shape, 3, 8, (1, 2, 2), 1, patch_size=2)


def test_the_first_block_on_the_way_up_hears_its_skip():
    network = UNet((8, 8, 1), 3, 8, (1,), 1, ())
    kernel = network.get_layer("up_0_block_0").residual.shortcut.kernel
    assert kernel.shape == (16, 8)  # its input and the skip, concatenated
