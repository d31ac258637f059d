"""Pixels there and back, grids, and files that are whole or not there."""

import re
import struct
import zlib
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from kdiffusion.images import (
    grid_size,
    image_grid,
    png_bytes,
    read_image,
    save_gif,
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


def test_to_uint8_rounds_and_clips():
    values = np.array([-3.0, -1.0, 0.5 / 127.5 - 1, 0.51 / 127.5 - 1, 0.999, 1.0, 2.0])
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 0, 1, 255, 255, 255])


@pytest.mark.parametrize(
    ("bad", "words"),
    [([0.0, np.nan], "finite"), ([0.0, np.inf], "finite"), (ALL_PIXELS, "floats.*Received: uint8")],
)
def test_to_uint8_refuses_what_is_no_image_of_the_model(bad, words):
    with pytest.raises(ValueError, match=f"`images` must be {words}"):
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


def test_row_labels_stand_left_of_the_images():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    plain = image_grid(images, columns=2)
    labelled = image_grid(images, columns=2, row_labels=["cat", "automobile"])
    margin = labelled.width - plain.width
    assert margin > 20
    ink = np.asarray(labelled)[:, :margin].min(axis=(1, 2)) < 128
    assert ink[: plain.height // 2].any()
    assert ink[plain.height // 2 :].any()
    np.testing.assert_array_equal(np.asarray(labelled)[:, margin:], np.asarray(plain))
    with pytest.raises(ValueError, match="`row_labels`"):
        image_grid(images, columns=2, row_labels=["cat"])


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.uint8),
     np.zeros((0, 4, 4, 3), np.uint8)],
)  # fmt: skip
def test_grid_refuses_what_is_no_image(bad):
    with pytest.raises(ValueError, match="`images`"):
        image_grid(bad, columns=1)


@pytest.mark.parametrize(
    "changes",
    [{"columns": 0}, {"columns": 2.5}, {"scale": 0}, {"scale": 1.5}, {"padding": -9}],
)
def test_grid_refuses_what_makes_no_grid_by_name(changes):
    images = np.zeros((3, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=f"`{next(iter(changes))}` must be a whole number"):
        image_grid(images, **{"columns": 2, **changes})


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3)), np.zeros((1, 4, 4, 3), np.uint8)])
def test_files_refuse_what_is_no_image_by_name(tmp_path, bad):
    words = rf"must be uint8 of shape.*Received: {bad.dtype} of shape {re.escape(str(bad.shape))}"
    with pytest.raises(ValueError, match=f"`image` {words}"):
        save_png(bad, tmp_path / "image.png")
    with pytest.raises(ValueError, match=f"`image` {words}"):
        png_bytes(bad)
    with pytest.raises(ValueError, match=f"`frames` {words}"):
        save_gif([bad], tmp_path / "film.gif")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_png_round_trip(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = save_png(image, tmp_path / "image.png")
    expected = image if shape[-1] == 3 else image.reshape(5, 7)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)


def test_png_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "image.png"
    save_png(np.zeros((2, 2), np.uint8), path)
    with pytest.raises(FileExistsError, match=r"image\.png"):
        save_png(np.ones((2, 2), np.uint8), path)
    assert np.asarray(Image.open(path)).max() == 0
    save_png(np.ones((2, 2), np.uint8), path, overwrite=True)
    assert np.asarray(Image.open(path)).min() == 1


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_png(np.zeros((2, 2), np.uint8), tmp_path / "image.png")
    assert list(tmp_path.iterdir()) == []


def test_gif_has_its_frames(tmp_path):
    frames = [np.full((6, 6, 3), value, np.uint8) for value in (0, 120, 250)]
    film = Image.open(save_gif(frames, tmp_path / "film.gif", frame_milliseconds=50))
    assert film.n_frames == 3
    assert film.info["duration"] == 50
    for index in range(3):
        film.seek(index)
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), frames[index])
    with pytest.raises(ValueError, match="`frames`"):
        save_gif([], tmp_path / "empty.gif")


def png_of_16_bits(colour_type, channels):
    """PNG's own chunks (RFC 2083), which Pillow reads and doesn't write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0)
    rows = (b"\0" + np.full((2, channels), 0x1280, ">u2").tobytes()) * 2
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def tiff(bits, photometric, planes, extra=()):
    """An uncompressed TIFF 6.0 file of one row; `planes` are its samples as they lie in it."""
    planes = [np.asarray(each, "<u2" if max(bits) > 8 else "u1").tobytes() for each in planes]
    width = len(b"".join(planes)) * 8 // sum(bits)
    tags = {
        256: [width], 257: [1], 258: bits, 259: [1], 262: [photometric],
        273: np.cumsum([8, *map(len, planes[:-1])]), 277: [len(bits)], 278: [1],
        279: [len(each) for each in planes], 284: [1 if len(planes) == 1 else 2],
        **({338: extra} if extra else {}),
    }  # fmt: skip
    body = b"".join(planes)  # from byte 8 on; after it, what doesn't fit into the list of tags
    entries = b""
    for tag, values in tags.items():
        packed = np.asarray(values, "<u4").tobytes()
        if len(packed) > 4:
            body, packed = body + packed, struct.pack("<I", 8 + len(body))
        entries += struct.pack("<HHI4s", tag, 4, len(values), packed)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_tiff_in_planes_of_8_bits_is_read(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff((8, 8, 8), 2, [[1, 2], [3, 4], [5, 6]]))
    assert read_image(tmp_path / "a.tif").tolist() == [[[1, 3, 5], [2, 4, 6]]]


def test_grey_tiff_that_is_multiplied_by_its_alpha_is_laid_on_white(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff((8, 8), 1, [[100, 255, 50, 100, 0, 0]], extra=[1]))
    with Image.open(tmp_path / "a.tif") as opened:
        assert opened.mode == "La"
    grey, half, none = read_image(tmp_path / "a.tif")[0, :, 0]
    assert (grey, none) == (100, 255)
    assert half == pytest.approx(50 + 155, abs=1)  # its light, and the white that shines through


def test_an_image_that_cannot_be_converted_is_named(tmp_path, monkeypatch):
    def convert(self, mode):
        raise ValueError("conversion not supported")

    monkeypatch.setattr(Image.Image, "convert", convert)
    (tmp_path / "a.ppm").write_bytes(b"P6 1 1 255\n\x01\x02\x03")
    with pytest.raises(ValueError, match=r"a\.ppm cannot be read as an image: conversion not"):
        read_image(tmp_path / "a.ppm")


@pytest.mark.parametrize(
    "content",
    [
        *(png_of_16_bits(*kind) for kind in ((0, 1), (2, 3), (4, 2), (6, 4))),
        b"P6 2 2 65535\n" + bytes(24),
        b"P3 1 1 1023\n1 2 1023\n",
        tiff((16,), 1, [[1000, 2000]]),
        tiff((16, 16, 16), 2, [[1, 2000, 3, 4, 5000, 6]]),
        tiff((16, 16, 16), 2, [[1000, 2], [3, 4], [5000, 6]]),
    ],
    ids=[
        "grey",
        "RGB",
        "grey and alpha",
        "RGBA",
        "PPM",
        "plain PPM of 10 bits",
        "grey TIFF",
        "TIFF",
        "TIFF in planes",
    ],
)
def test_more_than_8_bits_are_refused_not_cut(tmp_path, content):
    path = tmp_path / "deep.image"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must have 8 bits a sample"):
        read_image(path)


def test_ppm_of_8_bits_is_read(tmp_path):
    path = tmp_path / "plain.ppm"
    path.write_bytes(b"P6 1 1 255\n\x01\x02\x03")
    assert read_image(path).tolist() == [[[1, 2, 3]]]


def test_plain_black_and_white_is_read(tmp_path):
    path = tmp_path / "mask.pbm"
    path.write_text("P1\n2 1\n1 0\n")  # 1 is black
    assert read_image(path).tolist() == [[[0], [255]]]


def test_bmp_of_16_bits_a_pixel_is_read(tmp_path):
    pixels = struct.pack("<2H", 31 << 11, 63 << 5)  # red and green, of 5, 6 and 5 bits
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    place = 14 + len(header) + len(masks)
    file = struct.pack("<2sIHHI", b"BM", place + len(pixels), 0, 0, place) + header + masks + pixels
    (tmp_path / "a.bmp").write_bytes(file)
    assert read_image(tmp_path / "a.bmp").tolist() == [[[255, 0, 0], [0, 255, 0]]]


@pytest.mark.parametrize("row_labels", [None, ["a", "a longer name"]])
@pytest.mark.parametrize(("scale", "padding"), [(None, 2), (3, 0)])
def test_the_size_of_a_grid_is_known_before_there_are_images(row_labels, scale, padding):
    images = np.zeros((6, 5, 7, 1), np.uint8)
    grid = image_grid(images, 3, row_labels, scale, padding)
    assert grid.size == grid_size(images.shape[1:], 3, 2, row_labels, scale, padding)
