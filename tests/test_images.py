"""Pixels there and back, grids, and files that are whole or not there."""

import numpy as np
import pytest
from PIL import Image

from kdiffusion.images import (
    fit_image,
    image_grid,
    png_bytes,
    read_image,
    save_png,
    to_model_range,
    to_uint8,
)

ALL_PIXELS = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_every_pixel_value_comes_back(dtype):
    images = to_model_range(ALL_PIXELS.astype(dtype))
    assert images.dtype == (np.float64 if dtype == np.float64 else np.float32)
    assert (images[0], images[255]) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_uint8(images), ALL_PIXELS)


@pytest.mark.parametrize("bad", [[0.0, np.nan], ALL_PIXELS])
def test_to_uint8_refuses_what_would_become_noise(bad):
    with pytest.raises(ValueError, match="`images`"):
        to_uint8(np.asarray(bad))


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_puts_each_image_in_its_cell(channels):
    images = np.zeros((5, 4, 6, channels), np.uint8)
    images += np.arange(10, 60, 10, dtype=np.uint8)[:, None, None, None]
    grid = np.asarray(image_grid(images, columns=3, scale=2, padding=1))
    assert grid.shape == (2 * (8 + 1) + 1, 3 * (12 + 1) + 1, 3)
    for index in range(5):
        row, column = divmod(index, 3)
        cell = grid[1 + 9 * row : 9 + 9 * row, 1 + 13 * column : 13 + 13 * column]
        assert np.all(cell == 10 * (index + 1))
    assert np.all(grid[:, 13] == 255)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_png_round_trip(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "image.png"
    save_png(image, path)
    np.testing.assert_array_equal(read_image(path), image.reshape(5, 7, -1))
    assert path.read_bytes() == png_bytes(image)


def test_transparency_is_laid_on_white(tmp_path):
    clear = Image.new("RGBA", (3, 2), (200, 10, 10, 0))
    clear.putpixel((1, 0), (0, 0, 255, 255))
    clear.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png")
    assert pixels[0, :, 0].tolist() == [255, 0, 255]
    Image.new("LA", (3, 2), (7, 0)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.full((2, 3, 1), 255))


def test_photographs_lie_as_the_camera_says(tmp_path):
    image = Image.new("RGB", (4, 2))
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (4, 2, 3)


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_images_that_pillow_would_clip_are_refused_by_name(tmp_path, mode):
    dtype = np.uint16 if mode == "I;16" else np.float32
    Image.fromarray(np.full((2, 2), 40000, dtype)).save(tmp_path / "deep.tiff")
    with pytest.raises(ValueError, match=r"deep\.tiff .*8 bits"):
        read_image(tmp_path / "deep.tiff")


@pytest.mark.parametrize("axis", [0, 1])
def test_fitting_keeps_the_centre(axis):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels = np.concatenate([pixels + 50, pixels + 100, pixels + 150], axis=axis)
    np.testing.assert_array_equal(fit_image(pixels, 8), np.full((8, 8, 3), 100))
    assert fit_image(pixels[..., :1], (10, 5)).shape == (10, 5, 1)
    assert fit_image(pixels, pixels.shape[:2]) is pixels
