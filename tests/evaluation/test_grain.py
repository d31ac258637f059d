"""Grain is measured in levels: exactly of noise, nothing of what is even, less where it is soft."""

import numpy as np
import pytest

from kdiffusion.evaluation.grain import grain_levels, grain_of_all


@pytest.mark.parametrize("level", [2.0, 10.0, 25.0])
def test_of_noise_it_is_its_standard_deviation(level):
    noise = np.random.default_rng(0).normal(128, level, (40, 32, 32, 3))
    assert grain_levels(noise).mean() == pytest.approx(level, rel=0.01)


def test_of_what_is_even_or_rises_evenly_it_is_nothing():
    row, column = np.arange(8), 3 * np.arange(12)
    ramps = [np.full((8, 12), 200), row[:, None] + column, 40 + row[:, None] + 0 * column]
    np.testing.assert_array_equal(grain_levels(np.stack(ramps).astype(np.uint8)[..., None]), 0)


def test_in_batches_it_is_the_same():
    images = np.random.default_rng(1).integers(0, 256, (10, 5, 4, 3), np.uint8)
    batches = iter((images[:4], images[4:]))
    np.testing.assert_array_equal(grain_of_all(batches), grain_levels(images))
