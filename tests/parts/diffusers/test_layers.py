import pytest

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
        every_layer.test_a_layer_serialised_and_back_computes_the_same,
        every_layer.test_mixed_precision_computes_in_bfloat16_and_stays_close,
    ],
)
def test_they_do_what_every_layer_does(check, case):
    check(*CASES[case])
