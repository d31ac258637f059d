"""The noise stream in JavaScript: the same words, hence the same image for a seed everywhere."""

import numpy as np
import pytest

from kdiffusion.diffusion.seeded_noise import ImageNoise

# Philox4x64-10, key (0, 0), counter (1, 0, 0, 0), as in tests/diffusion/test_noise.py.
PHILOX_SEED_0 = [0x2F4BA6408E4D89B, 0x3DD62B0B9CA8C5B2, 0x1C8667A55D902E79, 0x907D7A052FD5B4DC]


def test_published_words(ask):
    assert list(map(int, ask("words", seed="0", count=4))) == PHILOX_SEED_0


@pytest.mark.parametrize("seed", [7, 2**53 + 1, 2**64 - 1])
def test_words_are_those_of_numpy(ask, seed):
    words = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(50)
    assert list(map(int, ask("words", seed=str(seed), count=50))) == words.tolist()


@pytest.mark.parametrize("shape", [(3, 5, 3), (2, 3, 1)])  # an odd size drops one number a draw
def test_every_draw_is_that_of_python(ask, shape):
    noise = ImageNoise([7], shape)
    expected = [noise.normal().ravel() for _ in range(3)]
    draws = ask("draws", seed="7", size=int(np.prod(shape)), count=3)
    # Logarithm and cosine differ between languages by a unit in the last place.
    np.testing.assert_allclose(draws, expected, rtol=1e-14, atol=1e-15)
