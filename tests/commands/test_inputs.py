"""What the commands that sample take: sampling options, classes, images and masks."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from kdiffusion.__main__ import call
from kdiffusion.commands.inputs import (
    Sampling,
    labels_from_text,
    read_condition_image,
    read_given_image,
    read_mask,
)
from kdiffusion.condition_images import masked
from kdiffusion.diffusion.card import ConditionImage
from kdiffusion.images import to_model_range, to_uint8

_OTHER_VALUES = {
    "sampler": ("unipc", "unipc"),
    "steps": ("7", 7),
    "timesteps": ("99 64 32 9", (99, 64, 32, 9)),
    "spacing": ("karras", "karras"),
    "guidance_strength": ("0", 0.0),  # not the same as none given
    "guidance_interval": ("0.5 3", (0.5, 3.0)),
    "eta": ("0.25", 0.25),
    "variance": ("fixed_large", "fixed_large"),
    "clip": ("", False),
    "batch_size": ("16", 16),
}


def _parse(arguments):
    def command(sampling: Sampling = Sampling()):
        return sampling

    return call(command, arguments, "command")


def test_each_option_is_a_flag():
    assert {field.name for field in dataclasses.fields(Sampling)} == set(_OTHER_VALUES)
    assert _parse([]).given() == {}


@pytest.mark.parametrize("name", _OTHER_VALUES)
def test_a_flag_is_given_as_it_was_typed_and_alone(name):
    text, value = _OTHER_VALUES[name]
    flag = "--no-clip" if name == "clip" else f"--{name.replace('_', '-')}"
    assert _parse([flag, *text.split()]).given() == {name: value}


ANIMALS = ("cat", "dog", "Great Ape")


@pytest.mark.parametrize(
    ("names", "texts", "expected"),
    [
        (ANIMALS, ["all"], [0, 1, 2]),
        (ANIMALS, None, [0, 1, 2]),
        (ANIMALS, ["none", "3"], [3, 3]),
        (ANIMALS, ["DOG", "great ape", "0"], [1, 2, 0]),
        (ANIMALS, ["2", "2"], [2, 2]),
        (ANIMALS, ["dog", "all"], [1, 0, 1, 2]),
        (("3", "7"), ["7"], [1]),  # a name comes before a number
        (("rest", "all", "None"), ["all", "none", "1", "3"], [1, 2, 1, 3]),
        (("rest", "all", "None"), None, [0, 1, 2]),
        (("Cat", "cat", "Dog"), ["Cat", "cat", "DOG"], [0, 1, 2]),
        # An accent is a part of its letter, or a character of its own, as on macOS.
        (("tea", "cafe\u0301"), ["caf\u00e9", "CAFE\u0301"], [1, 1]),
    ],
)
def test_names_numbers_all_and_none(names, texts, expected):
    assert labels_from_text(texts, names) == expected


@pytest.mark.parametrize("text", ["bird", "4", "-1", "1.0", ""])
def test_an_unknown_class_is_refused(text):
    with pytest.raises(ValueError, match="`labels`"):
        labels_from_text([text], ANIMALS)


HEIGHT, WIDTH = 6, 4  # as the card of conftest.py


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("L", 3), ("RGB", 1), ("RGB", 3)])
def test_an_image_of_the_models_size_becomes_grey_or_coloured_as_it_is(
    card, tmp_path, mode, channels
):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "image.png")
    card = dataclasses.replace(card, image_shape=(HEIGHT, WIDTH, channels))
    given = read_given_image(tmp_path / "image.png", card)
    assert given.dtype == np.float32
    expected = np.reshape(image.convert("L" if channels == 1 else "RGB"), card.image_shape)
    difference = np.abs(to_uint8(given).astype(int) - expected).max()
    assert difference <= (1 if (mode, channels) == ("RGB", 1) else 0)  # Pillow rounds another way


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_is_missing_for_a_model_that_fills_holes_in(card, tmp_path, channels):
    pixels = np.full((HEIGHT, WIDTH, channels), 200, np.uint8)
    draws = np.array([[0.2, 0.6, 0.4, 0.9]])
    expected = masked(to_model_range(pixels)[None], draws)[0]
    alpha = np.where(expected[..., -1:] > 0, 0, 255).astype(np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], axis=-1)).save(tmp_path / "hole.png")
    image = ConditionImage(channels=channels + 1, meaning="masked")
    given = read_condition_image(tmp_path / "hole.png", dataclasses.replace(card, image=image))
    assert 0 < (alpha == 0).sum() < alpha.size
    np.testing.assert_array_equal(given, expected)


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
