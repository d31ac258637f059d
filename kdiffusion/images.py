"""Pixels: into the model's range and back, grids of images, files in and out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from kdiffusion.checks import check_whole
from kdiffusion.files import staged

# Pillow modes with 8 bits a sample, by whether they hold colour. Its other modes (16-bit, float)
# have no agreed white, and Pillow's own conversion would clip them.
GREY_MODES = {"1", "L", "LA", "La"}
COLOUR_MODES = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}


# What is opened, whatever a file is called: Pillow would hand an EPS to Ghostscript, a program of
# its own, and has decoders that nobody needs here.
FILE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# What the names of such files end in, in small letters.
FILE_ENDINGS = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm",
    ".pnm",
)  # fmt: skip


def to_model_range(pixels: Any) -> Any:
    """Pixels 0 .. 255 ► the model's -1 .. 1 (Ho et al. 2020, section 3.3); inverse of `to_uint8`.

    Args:
        pixels: a float tensor of any framework, or a NumPy array of any type.

    Returns:
        The same kind of tensor; float32 for a NumPy array of integers.
    """
    if isinstance(pixels, np.ndarray) and pixels.dtype.kind in "iu":
        pixels = pixels.astype(np.float32)
    return pixels / 127.5 - 1.0


def to_uint8(images: np.ndarray) -> np.ndarray:
    """The model's -1 .. 1 ► uint8 pixels, rounded and clipped; inverse of `to_model_range`.

    Args:
        images: float array of any shape.

    Raises:
        ValueError: no floats, or one that isn't finite.
    """
    images = np.asarray(images)
    if images.dtype.kind != "f":
        raise ValueError(f"`images` must be floats from -1 to 1. Received: {images.dtype}")
    if not np.all(np.isfinite(images)):
        raise ValueError("`images` must be finite numbers. Received: NaN or infinity among them")
    return np.clip(np.rint((images + 1.0) * 127.5), 0, 255).astype(np.uint8)


def read_image(path: str | Path, file: BinaryIO | None = None) -> np.ndarray:
    """Reads an image file, one of `FILE_FORMATS`, upright, transparency laid on white.

    Args:
        path: path of the file.
        file: what to read where that is inside of another file; `path` is then its name.

    Returns:
        uint8 array `[H, W, 1]` when the file is grey, `[H, W, 3]` otherwise.

    Raises:
        ValueError: a file that isn't there, isn't an image, is cut short or isn't of 8 bits.
    """
    try:
        with Image.open(file or path, formats=FILE_FORMATS) as opened:
            cut_to_8_bits = _is_cut_to_8_bits(opened)
            image = ImageOps.exif_transpose(opened)  # reads all of it, so a cut file shows here
            image.load()
        pixels = _on_white(image) if image.mode in GREY_MODES | COLOUR_MODES else None
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged files.
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if pixels is None:
        raise ValueError(
            f"{path} must have 8 bits a sample. Received: an image of mode {image.mode!r}"
        )
    if cut_to_8_bits:
        raise ValueError(f"{path} must have 8 bits a sample. Received: an image with more")
    return pixels


def _on_white(image: Image.Image) -> np.ndarray:
    """uint8 `[H, W, 1]` of a grey image, `[H, W, 3]` of another."""
    grey = image.mode in GREY_MODES
    if image.mode == "La":  # of which Pillow makes nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        # What lies under transparent pixels was never meant to be seen.
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def _is_cut_to_8_bits(opened: Image.Image) -> bool:
    """Whether Pillow drops bits of each sample as it decodes: of colour it only knows 8.

    Before the image is loaded, Pillow tells how its data lies in the file: `RGB;16B`, or for PPM
    the greatest value. `BGR;16` has 16 bits a pixel. TIFF has a tag, and Pillow takes each plane of
    16 bits for one of 8.
    """
    if isinstance(opened, TiffImageFile) and max(opened.tag_v2.get(BITSPERSAMPLE, (8,))) > 8:
        return True
    for tile in getattr(opened, "tile", ()):  # of what was read from a file
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(each, str) and ";16" in each and each != "BGR;16" for each in arguments):
            return True
        greatest = arguments[-1]
        if tile[0] in ("ppm", "ppm_plain") and isinstance(greatest, int) and greatest > 255:
            return True
    return False


def fit_to_size(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The largest centred part of an image with the shape asked for, resampled with Lanczos.

    Args:
        pixels: uint8 array `[H, W, C]`, C = 1 or 3.
        height: int. Of the result, in pixels.
        width: int. Of the result, in pixels.

    Returns:
        uint8 array `[height, width, C]`; the input itself where it has that size.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    # Pillow counts width first.
    fitted = ImageOps.fit(
        _to_pil("pixels", pixels), (width, height), method=Image.Resampling.LANCZOS
    )
    return np.asarray(fitted).reshape(height, width, -1)


def image_grid(
    images: np.ndarray,
    columns: int,
    row_labels: Sequence[str] | None = None,
    scale: int | None = None,
    padding: int = 2,
) -> Image.Image:
    """Images side by side, row after row, with a label before each row.

    Args:
        images: uint8 array `[N, H, W, C]`, C 1 or 3.
        columns: int, at least 1. Images per row; the last row may be shorter.
        row_labels: a str for each row, or None.
        scale: int, at least 1. Width of a pixel in pixels; by default images become at least 48
            wide.
        padding: int, 0 or more. Pixels between images. Defaults to `2`.

    Returns:
        A PIL image of mode RGB.

    Raises:
        ValueError: a value outside those given here.
    """
    images = _check_images(images)
    columns = check_whole("columns", columns)
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    if row_labels is not None and len(row_labels) != rows:
        raise ValueError(f"`row_labels` must have {rows} entries. Received: {len(row_labels)}")
    layout = _grid_layout(images.shape[1:], columns, rows, row_labels, scale, padding)
    scale, cell_width, cell_height, margin = layout.scale, *layout.cell, layout.margin
    grid = Image.new("RGB", layout.size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        drawn = _to_pil("images", image)
        drawn = drawn.resize((width * scale, height * scale), Image.Resampling.NEAREST)
        grid.paste(drawn, (margin + padding + column * cell_width, padding + row * cell_height))
    draw = ImageDraw.Draw(grid)
    for row, text in enumerate(row_labels or ()):
        middle = padding + row * cell_height + height * scale // 2
        draw.text((margin - 6, middle), text, fill="black", font=layout.font, anchor="rm")
    return grid


def grid_size(
    image_shape: Sequence[int],
    columns: int,
    rows: int,
    row_labels: Sequence[str] | None = None,
    scale: int | None = None,
    padding: int = 2,
) -> tuple[int, int]:
    """Width and height in pixels of what `image_grid` makes.

    Args:
        image_shape: (height, width, channels) of each image.
        columns, rows: ints.
        row_labels, scale, padding: as of `image_grid`.
    """
    return _grid_layout(image_shape, columns, rows, row_labels, scale, padding).size


class _GridLayout(NamedTuple):
    scale: int
    cell: tuple[int, int]  # width and height of an image with the padding after it
    margin: int  # before the images, for the labels
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont
    size: tuple[int, int]


def _grid_layout(image_shape, columns, rows, row_labels, scale, padding):
    height, width = image_shape[:2]
    scale = max(1, -(-48 // width)) if scale is None else check_whole("scale", scale)
    padding = check_whole("padding", padding, 0)
    cell_width, cell_height = width * scale + padding, height * scale + padding
    font = ImageFont.load_default(size=max(12, min(cell_height // 3, 20)))
    margin = max((int(font.getlength(text)) + 12 for text in row_labels or ()), default=0)
    size = (margin + columns * cell_width + padding, rows * cell_height + padding)
    return _GridLayout(scale, (cell_width, cell_height), margin, font, size)


def save_png(image: Image.Image | np.ndarray, path: str | Path, overwrite: bool = False) -> Path:
    """Writes a PNG that is whole or not there at all.

    Args:
        image: PIL image, or uint8 array `[H, W]` or `[H, W, C]` with C 1 or 3.
        path: where to.
        overwrite: bool. Whether a file that is there may be replaced. Defaults to `False`.

    Returns:
        The path.

    Raises:
        FileExistsError: when the file is there and may not be replaced, or is no regular file.
        ValueError: an array that is no image.
    """
    drawn = image if isinstance(image, Image.Image) else _to_pil("image", np.asarray(image))
    with staged(path, overwrite) as temporary:
        drawn.save(temporary, format="PNG")
    return Path(path)


def png_bytes(image: np.ndarray) -> bytes:
    """What a PNG file of an image holds; of a uint8 array `[H, W]` or `[H, W, 1 or 3]`."""
    file = io.BytesIO()
    _to_pil("image", image).save(file, format="PNG")
    return file.getvalue()


def save_gif(
    frames: Sequence[Image.Image | np.ndarray],
    path: str | Path,
    frame_milliseconds: int = 80,
    overwrite: bool = False,
) -> Path:
    """Writes frames as an endless GIF film, whole or not at all; arguments as for `save_png`."""
    frames = [
        frame if isinstance(frame, Image.Image) else _to_pil("frames", np.asarray(frame))
        for frame in frames
    ]
    if not frames:
        raise ValueError("`frames` must hold at least one image. Received: none")
    with staged(path, overwrite) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:],
            duration=frame_milliseconds, loop=0,
        )  # fmt: skip
    return Path(path)


def _check_images(images) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "`images` must be uint8 of shape [N, height, width, 1 or 3]. "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: none")
    return images


def _to_pil(name: str, image: np.ndarray) -> Image.Image:
    """The PIL image of an array; `name` is the argument's."""
    is_shape = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] in (1, 3))
    if image.dtype != np.uint8 or not is_shape:
        raise ValueError(
            f"`{name}` must be uint8 of shape [height, width] or [height, width, 1 or 3]. "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    return Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
