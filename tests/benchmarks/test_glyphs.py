"""What an image's numbers are read as, where the truth is known."""

import numpy as np
import pytest

from benchmarks.glyphs import STEPS, read
from examples.glyphs import SLANT, THICKNESS, draw


@pytest.mark.parametrize("digit", [0, 1, 7])
def test_the_numbers_of_a_drawn_digit_are_read_back(digit):
    steps = [(high - low) / (STEPS - 1) for low, high in (THICKNESS, SLANT)]
    for asked in ((0.13, -17.0), (0.75, 0.0), (1.4, 22.2)):
        assert np.all(np.abs(read(draw(digit, *asked), digit) - asked) <= steps)
