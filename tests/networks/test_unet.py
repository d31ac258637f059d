import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.networks.embeddings import NumbersEmbedding
from kdiffusion.networks.unet import UNet
from tests.networks.layer_values import network_inputs, randomise

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
    "numbers": {"weight": (400.0, 150.0), "slant": (0.0, 7.0)},
    "image_channels": 4,
    "dtype": "mixed_bfloat16",
    "name": "mine",
}


def test_the_cifar10_network_has_the_parameters_of_ddpm_and_those_of_its_labels():
    network = UNet((32, 32, 3), 10, 128, (1, 2, 2, 2), 2, (16,), dropout=0.1)
    of_ddpm = 35_746_307  # Ho et al. 2020: "35.7 million"
    label_table, label_half_of_first_dense = 11 * 128, 128 * 512
    assert network.count_params() == of_ddpm + label_table + label_half_of_first_dense


def test_the_config_returns_every_argument_that_was_passed():
    assert UNet(**SETTINGS).get_config() == SETTINGS


@pytest.mark.parametrize(
    ("image_shape", "dtype"), [((8, 8, 1), "float32"), ((12, 20, 3), "mixed_bfloat16")]
)
def test_the_prediction_is_float32_of_the_image_shape_and_starts_at_zero(image_shape, dtype):
    network = UNet(image_shape, 3, 8, (1, 2, 2), 1, (2,), dtype=dtype)
    prediction = network(network_inputs(image_shape))
    assert prediction.dtype == "float32"
    np.testing.assert_array_equal(prediction, np.zeros((3, *image_shape)))


SMALL = {"image_shape": (8, 8, 1), "num_classes": 3, "base_channels": 8, "blocks_per_level": 1}


def predictions(inputs, **arguments):
    network = UNet(**SMALL, channel_multipliers=(1, 2), attention_resolutions=(), **arguments)
    randomise(network)
    return np.asarray(network({**network_inputs((8, 8, 1)), **inputs}))


def test_numbers_are_standardised_and_where_one_is_missing_all_are():
    given = np.array([[0.0, 1.0], [-1.0, 0.5], [2.0, -0.3]], "float32")
    scaled, none = given * np.float32([150, 7]) + np.float32([400, 0]), np.copy(given)
    scaled[2, 1] = none[2] = np.nan
    scaled = predictions({"numbers": scaled}, numbers=SETTINGS["numbers"])
    none, given = (
        predictions({"numbers": each}, numbers=("weight", "slant")) for each in (none, given)
    )
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled, none, atol=1e-4)
    assert np.abs(none - given)[2].max() > 0.01


def test_what_is_learnt_where_numbers_are_missing_is_finite():
    layer = NumbersEmbedding(((1.0, 2.0),), 4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(np.array([[np.nan], [3.0]], "float32")))
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert all(np.isfinite(each).all() for each in gradients)
    np.testing.assert_array_equal(gradients[-1], np.ones(4))  # of the vector for no numbers


def test_an_image_as_a_condition_is_seen_beside_the_noisy_one():
    image = np.zeros((3, 8, 8, 2), "float32")
    without = predictions({"image": image}, image_channels=2)
    image[1, 4, 4] = 1
    changed = np.abs(predictions({"image": image}, image_channels=2) - without).max((1, 2, 3))
    assert changed[1] > 0.01
    np.testing.assert_allclose(changed[[0, 2]], 0, atol=1e-5)
