import numpy as np
import pytest

from kdiffusion.networks import blocks
from tests.networks.layer_values import randomise


@pytest.mark.parametrize("channels", [8, 32, 64, 128])
def test_a_block_hears_its_condition_at_every_width(channels):
    """Normalising too few channels together would subtract what the condition has just added."""
    block = blocks.ResidualBlock(channels)
    x = np.random.default_rng(0).normal(size=(1, 4, 4, channels)).astype("float32")
    conditions = np.random.default_rng(1).normal(size=(2, 1, 12)).astype("float32")
    block(x, conditions[0])
    randomise(block)
    here, there = (np.asarray(block(x, condition)) for condition in conditions)
    assert np.std(here - there) > 0.1 * np.std(here)  # it was 2e-6 with one channel a group
