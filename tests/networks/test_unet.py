import numpy as np
import pytest

from kdiffusion.networks.unet import UNet
from tests.networks.layer_values import network_inputs

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


def test_the_cifar10_network_has_the_parameters_of_ddpm_and_those_of_its_labels():
    network = UNet((32, 32, 3), 10, 128, (1, 2, 2, 2), 2, (16,), dropout=0.1)
    label_table, label_half_of_first_dense = 11 * 128, 128 * 512
    assert network.count_params() == (
        DDPM_CIFAR10_PARAMETERS + label_table + label_half_of_first_dense
    )


def test_the_config_returns_every_argument_that_was_passed():
    assert UNet(**SETTINGS).get_config() == SETTINGS


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (12, 20, 3)])
def test_the_prediction_is_float32_of_the_image_shape_and_starts_at_zero(image_shape, dtype):
    network = UNet(image_shape, 3, 8, (1, 2, 2), 1, (2,), dtype=dtype)
    prediction = network(network_inputs(image_shape))
    assert prediction.dtype == "float32"
    np.testing.assert_array_equal(prediction, np.zeros((3, *image_shape)))


@pytest.mark.parametrize("image_shape", [(30, 32, 3), (32, 34, 1)])
def test_a_size_that_the_levels_do_not_divide_is_refused(image_shape):
    with pytest.raises(ValueError, match="`image_shape` height and width must be divisible by 8"):
        UNet(image_shape, 3, 8, (1, 2, 2), 1, patch_size=2)
