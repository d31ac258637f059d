import pytest

from kdiffusion.parts.diffusers.layers import AddedConditionEmbedding, PaddedDownsample
from tests.networks.layer_values import EVERY_LAYER, MAP

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
@pytest.mark.parametrize("check", EVERY_LAYER)
def test_a_layer_does_what_every_layer_does(check, case):
    check(*CASES[case])
