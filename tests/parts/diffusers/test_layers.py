import numpy as np
import pytest

from kdiffusion.networks.embeddings import TimestepEmbedding
from kdiffusion.parts.diffusers.layers import AddedConditionEmbedding, PaddedDownsample
from tests.networks import test_conformance as every_layer
from tests.networks.layer_values import MAP

CASES = {
    "AddedConditionEmbedding": (
        AddedConditionEmbedding,
        {
            "num_classes": 3, "time_channels": 4, "channels": 8, "cosine_first": True,
            "frequency_shift": 0,
        },
        [(2,), (2,)],
    ),
    "PaddedDownsample": (PaddedDownsample, {"channels": 8}, [MAP]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "check",
    [
        every_layer.test_the_config_returns_every_argument_that_was_passed,
        every_layer.test_a_layer_serialised_and_back_computes_the_same,
        every_layer.test_shapes_are_known_before_anything_is_computed,
        every_layer.test_mixed_precision_computes_in_bfloat16_and_stays_close,
    ],
)
def test_they_do_what_every_layer_does(check, case):
    check(*CASES[case])


def test_a_map_of_two_pixels_is_halved():
    assert PaddedDownsample(4)(np.ones((1, 2, 2, 3), "float32")).shape == (1, 1, 1, 4)


def test_as_it_comes_the_time_is_embedded_as_in_unet():
    timesteps = np.array([0, 7, 998, 999], "int32")
    layer = AddedConditionEmbedding(3, 6, 8)
    layer.build((None,), (None,))
    hidden = layer.hidden(TimestepEmbedding(6)(timesteps))
    expected = layer.project(hidden) * (1 / (1 + np.exp(-layer.project(hidden))))
    labels = np.zeros(4, "int32")  # rows of which are zero
    np.testing.assert_allclose(layer(timesteps, labels), expected, atol=1e-6)
