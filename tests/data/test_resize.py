"""Centre crop and resampling, checked on images whose result is known."""

import numpy as np
import pytest

from kdiffusion.data.resize import fit_image


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_that_size_is_left_alone(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, channels), np.uint8)
    assert fit_image(pixels, 9) is pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [5, 12, 40])
@pytest.mark.parametrize("shape", [(12, 12), (12, 20), (31, 12)])
def test_a_flat_image_stays_flat(channels, size, shape):
    colour = np.array([10, 200, 77], np.uint8)[:channels]
    fitted = fit_image(np.broadcast_to(colour, (*shape, channels)), size)
    assert fitted.dtype == np.uint8
    np.testing.assert_array_equal(fitted, np.broadcast_to(colour, (size, size, channels)))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_centre_is_kept(axis):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels = np.concatenate([pixels + 50, pixels + 100, pixels + 150], axis=axis)
    np.testing.assert_array_equal(fit_image(pixels, 8), np.full((8, 8, 3), 100))


def test_a_size_may_have_two_sides():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels = np.concatenate([pixels + 50, pixels + 100, pixels + 150])
    fitted = fit_image(pixels, (4, 8))  # the middle third, less of its rows
    np.testing.assert_array_equal(fitted, np.full((4, 8, 3), 100))
    assert fit_image(pixels, (48, 16)).shape == (48, 16, 3)


@pytest.mark.parametrize("size", [(4,), (4, 0), (4, 4, 3), (4, 4.0), "4", True])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="`image_size` must be a whole number of at least 1, or"):
        fit_image(np.zeros((4, 4, 3), np.uint8), size)


def test_resampling_commutes_with_mirroring():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    mirrored = fit_image(pixels[:, ::-1], 10)[:, ::-1]
    # Pillow rounds its weights, so a level or so may differ.
    assert np.abs(mirrored.astype(int) - fit_image(pixels, 10)).max() <= 1
