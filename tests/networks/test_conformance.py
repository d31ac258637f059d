import numpy as np
import pytest

from kdiffusion.networks import attention, blocks, embeddings, layers
from tests.networks.layer_values import CONDITION, EVERY_LAYER, MAP, random_inputs

EMBEDDING = {"num_classes": 3, "time_channels": 4, "label_channels": 6, "channels": 8}
NUMBERS = ((0.5, 2.0), (-1.0, 0.5))
BLOCK = {"channels": 8, "attention_heads": 2, "dropout": 0.25, "scale_shift": True}
# Every layer at values that are not its defaults, and the shapes of its inputs.
CASES = {
    "TimestepEmbedding": (embeddings.TimestepEmbedding, {"channels": 6}, [(2,)]),
    "ConditionEmbedding": (embeddings.ConditionEmbedding, EMBEDDING, [(2,), (2,)]),
    "ConditionEmbedding of numbers": (
        embeddings.ConditionEmbedding, {**EMBEDDING, "numbers": NUMBERS}, [(2,), (2,), (2, 2)],
    ),
    "NumbersEmbedding": (
        embeddings.NumbersEmbedding, {"standardisation": NUMBERS, "channels": 8}, [(2, 2)],
    ),
    "GroupNorm": (layers.GroupNorm, {"groups": 2, "epsilon": 0.5}, [MAP]),
    "GroupNorm narrow": (layers.GroupNorm, {"groups": 8, "min_group_channels": 2}, [MAP]),
    "GroupNorm shifted": (layers.GroupNorm, {"groups": 2}, [MAP, (2, 16)]),
    "GroupNorm modulated": (layers.GroupNorm, {"groups": 2}, [MAP, (2, 16), (2, 32)]),
    "PointwiseDense": (layers.PointwiseDense, {"units": 6}, [MAP]),
    "ResidualBlock": (blocks.ResidualBlock, {"channels": 8, "dropout": 0.25}, [MAP, CONDITION]),
    "ResidualBlock scaled": (
        blocks.ResidualBlock, {"channels": 8, "scale_shift": True}, [MAP, CONDITION],
    ),
    "SelfAttention2D": (attention.SelfAttention2D, {"heads": 4}, [MAP]),
    "SelfAttention2D one head": (attention.SelfAttention2D, {"heads": 1}, [MAP]),
    "DownBlock": (blocks.DownBlock, BLOCK, [MAP, CONDITION]),
    "UpBlock": (blocks.UpBlock, BLOCK, [MAP, CONDITION]),
    "Downsample": (layers.Downsample, {"channels": 8}, [MAP]),
    "Upsample": (layers.Upsample, {"channels": 8}, [MAP]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("check", EVERY_LAYER)
def test_a_layer_does_what_every_layer_does(check, case):
    check(*CASES[case])


def test_residual_layers_start_as_the_identity():
    x, condition = random_inputs([MAP, CONDITION])
    np.testing.assert_array_equal(blocks.ResidualBlock(MAP[-1])(x, condition), x)
    np.testing.assert_array_equal(attention.SelfAttention2D()(x), x)
