"""Centre crop and resampling, checked on images whose result is known."""

import numpy as np
import pytest

from kdiffusion.data.resize import fit_to_square


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_that_size_is_left_alone(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, channels), np.uint8)
    assert fit_to_square(pixels, 9) is pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [5, 12, 40])
@pytest.mark.parametrize("shape", [(12, 12), (12, 20), (31, 12)])
def test_a_flat_image_stays_flat(channels, size, shape):
    colour = np.array([10, 200, 77], np.uint8)[:channels]
    fitted = fit_to_square(np.broadcast_to(colour, (*shape, channels)), size)
    assert fitted.dtype == np.uint8
    np.testing.assert_array_equal(fitted, np.broadcast_to(colour, (size, size, channels)))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_centre_is_kept(axis):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels = np.concatenate([pixels + 50, pixels + 100, pixels + 150], axis=axis)
    np.testing.assert_array_equal(fit_to_square(pixels, 8), np.full((8, 8, 3), 100))


def test_resampling_commutes_with_mirroring():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    mirrored = fit_to_square(pixels[:, ::-1], 10)[:, ::-1]
    # Pillow rounds its weights, so a level or so may differ.
    assert np.abs(mirrored.astype(int) - fit_to_square(pixels, 10)).max() <= 1
