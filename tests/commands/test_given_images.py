"""Images and masks that a user may have, in the shape of the model."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands.given_images import read_given_image, read_mask
from kdiffusion.images import to_uint8

HEIGHT, WIDTH = 6, 4  # as the card of conftest.py


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def test_an_image_of_the_models_size_is_taken_as_it_is(card, tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "image.png")
    given = read_given_image(tmp_path / "image.png", card)
    assert given.dtype == np.float32
    np.testing.assert_array_equal(to_uint8(given), pixels)


def test_a_grey_image_serves_a_colour_model(card, tmp_path, pixels):
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    given = to_uint8(read_given_image(tmp_path / "grey.png", card))
    np.testing.assert_array_equal(given, np.repeat(pixels[..., :1], 3, axis=-1))


def test_a_colour_image_becomes_grey_as_pillow_makes_it(card, tmp_path, pixels):
    image = Image.fromarray(pixels)
    image.save(tmp_path / "colour.png")
    grey_card = dataclasses.replace(card, image_shape=(HEIGHT, WIDTH, 1))
    given = to_uint8(read_given_image(tmp_path / "colour.png", grey_card))
    difference = given[..., 0].astype(int) - np.asarray(image.convert("L"))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("read", [read_given_image, read_mask])
def test_another_size_is_resized_only_when_asked(card, tmp_path, read):
    Image.new("RGB", (40, 30), (10, 200, 77)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"large\.png must be 4x6 pixels.*`--resize`.*40x30"):
        read(tmp_path / "large.png", card)
    given = read(tmp_path / "large.png", card, resize=True)
    if read is read_given_image:
        np.testing.assert_array_equal(to_uint8(given), np.full((HEIGHT, WIDTH, 3), (10, 200, 77)))


def test_white_is_painted_anew(card, tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:, 1] = 255
    mask[0, 0], mask[0, 1] = 127, 128  # a soft brush or a JPEG leaves greys: the middle decides
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", card), mask >= 128)
