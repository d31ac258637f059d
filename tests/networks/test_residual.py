import numpy as np
import pytest

from kdiffusion.networks import residual
from tests.networks.layer_values import CONDITION, MAP, random_inputs, randomise


@pytest.mark.parametrize("channels", [8, 32, 64, 128])
def test_a_block_hears_its_condition_at_every_width(channels):
    """Normalising too few channels together would subtract what the condition has just added."""
    block = residual.ResidualBlock(channels)
    x = np.random.default_rng(0).normal(size=(1, 4, 4, channels)).astype("float32")
    conditions = np.random.default_rng(1).normal(size=(2, 1, 12)).astype("float32")
    block(x, conditions[0])
    randomise(block)
    here, there = (np.asarray(block(x, condition)) for condition in conditions)
    assert np.std(here - there) > 0.1 * np.std(here)  # it was 2e-6 with one channel a group


def test_dropout_acts_in_training_only():
    x, condition = random_inputs([MAP, CONDITION])
    block = residual.ResidualBlock(MAP[-1], dropout=0.5)
    block(x, condition)
    randomise(block)
    still = [np.asarray(block(x, condition, training=False)) for _ in range(2)]
    moving = [np.asarray(block(x, condition, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    assert np.abs(moving[0] - moving[1]).max() > 0.1


def test_with_one_norm_the_input_reaches_the_first_convolution_as_it_is():
    x, condition = random_inputs([MAP, CONDITION])
    block = residual.ResidualBlock(MAP[-1], scale_shift=True, input_norm=False)
    block(x, condition)
    names = {variable.path.split("/")[-2] for variable in block.weights}
    assert names == {"conv_in", "project_condition", "norm_out", "conv_out"}
    randomise(block)
    found = block(x, condition)
    first = block.conv_in(x / (1 + np.exp(-x)))
    told = np.asarray(block.norm_out(first, modulation=block.project_condition(condition)))
    expected = x + np.asarray(block.conv_out(told / (1 + np.exp(-told))))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
