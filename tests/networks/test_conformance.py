import keras
import numpy as np
import pytest

from kdiffusion.networks import attention, blocks, embeddings, layers
from tests.networks.layer_values import CONDITION, MAP, random_inputs, randomise

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
each_layer = pytest.mark.parametrize(
    ("layer_class", "arguments", "shapes"), CASES.values(), ids=CASES
)


@each_layer
def test_a_layer_serialised_and_back_computes_the_same(layer_class, arguments, shapes):
    layer, inputs = layer_class(**arguments, name="of_mine"), random_inputs(shapes)
    config = layer.get_config()
    assert {name: config[name] for name in (*arguments, "name")} == {**arguments, "name": "of_mine"}
    layer(*inputs)
    randomise(layer)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(*inputs), layer(*inputs))


@each_layer
def test_mixed_precision_computes_in_bfloat16_and_stays_close(layer_class, arguments, shapes):
    inputs = random_inputs(shapes)
    exact, half = layer_class(**arguments), layer_class(**arguments, dtype="mixed_bfloat16")
    exact(*inputs), half(*inputs)
    randomise(exact)
    half.set_weights(exact.get_weights())
    result = half(*inputs)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    assert all(variable.dtype == "float32" for variable in half.trainable_variables)
    want = np.asarray(exact(*inputs))
    error = np.abs(np.asarray(result, "float32") - want).max()
    assert error < 0.05 * np.abs(want).max() + 0.05


def test_residual_layers_start_as_the_identity():
    x, condition = random_inputs([MAP, CONDITION])
    np.testing.assert_array_equal(blocks.ResidualBlock(MAP[-1])(x, condition), x)
    np.testing.assert_array_equal(attention.SelfAttention2D()(x), x)
