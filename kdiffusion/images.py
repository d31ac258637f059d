"""Pixels: into the model's range and back, grids of images, files in and out."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from kdiffusion.atomic_files import staged

ImageSize = int | tuple[int, int]  # pixels: the side of a square, or (height, width)

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # Pillow's, by their channels
GREY_MODES = {"1", "L", "LA"}
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
        ValueError: integers, or values that aren't finite.
    """
    images = np.asarray(images)
    if images.dtype.kind != "f" or not np.isfinite(images).all():
        raise ValueError(f"`images` must be finite floats from -1 to 1. Received: {images.dtype}")
    return np.clip(np.rint((images + 1.0) * 127.5), 0, 255).astype(np.uint8)


def read_image(path: str | Path, channels: int | None = None) -> np.ndarray:
    """Reads an image file, one of `FILE_FORMATS`, upright, with transparency laid on white.

    Args:
        path: path of the file.
        channels: int. 1 for grey, 3 for colour; 2 and 4 keep the transparency, as one more channel.
            Defaults to `None`: 1 when the file is grey, 3 otherwise.

    Returns:
        uint8 array `[H, W, channels]`.

    Raises:
        ValueError: a file that can't be read as an image, by its name.
    """
    try:
        with Image.open(path, formats=FILE_FORMATS) as opened:
            return _pixels(ImageOps.exif_transpose(opened), channels)
    except Exception as error:  # Pillow's decoders raise a dozen kinds, most without the file.
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _pixels(image, channels):
    if image.mode.startswith(("I", "F")):  # Pillow would clip them at 255
        raise ValueError(f"more than 8 bits a sample (mode {image.mode}). Save it with 8 bits")
    mode = MODES[channels or (1 if image.mode in GREY_MODES else 3)]
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if not mode.endswith("A"):
            # What lies under transparent pixels was never meant to be seen.
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.asarray(image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def fit_image(pixels: np.ndarray, image_size: ImageSize | None) -> np.ndarray:
    """The largest centred part of an image of the size's proportions, resampled with Lanczos.

    Args:
        pixels: uint8 array `[H, W, C]`, C = 1 or 3.
        image_size: int or (height, width) of the result, in pixels; None: as it is.

    Returns:
        uint8 array `[height, width, C]`; the input itself where it has that size.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    height, width = size or pixels.shape[:2]
    if pixels.shape[:2] == (height, width):
        return pixels
    # Pillow counts width first.
    fitted = ImageOps.fit(_to_pil(pixels), (width, height), method=Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(height, width, -1)


def image_grid(
    images: np.ndarray,
    columns: int = 8,
    row_labels: Sequence[str] | None = None,
    scale: int | None = None,
    padding: int = 2,
) -> Image.Image:
    """Images side by side, row after row, with a label before each row.

    Args:
        images: uint8 array `[N, H, W, C]`, C = 1 or 3.
        columns: int. Images per row; the last row may be shorter. Defaults to `8`.
        row_labels: a str for each row, or None.
        scale: int. Upscaling factor; by default images become at least 48 pixels wide.
        padding: int. Pixels between images. Defaults to `2`.

    Returns:
        A PIL image of mode RGB.
    """
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    scale = scale or max(1, -(-48 // width))
    cell_width, cell_height = width * scale + padding, height * scale + padding
    font = ImageFont.load_default(size=max(12, min(cell_height // 3, 20)))
    margin = max((int(font.getlength(text)) + 12 for text in row_labels or ()), default=0)
    size = (margin + columns * cell_width + padding, rows * cell_height + padding)
    grid = Image.new("RGB", size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        enlarged = _to_pil(image).resize((width * scale, height * scale), Image.Resampling.NEAREST)
        grid.paste(enlarged, (margin + padding + column * cell_width, padding + row * cell_height))
    draw = ImageDraw.Draw(grid)
    for row, text in enumerate(row_labels or ()):
        middle = padding + row * cell_height + height * scale // 2
        draw.text((margin - 6, middle), text, fill="black", font=font, anchor="rm")
    return grid


def save_png(image: Image.Image | np.ndarray, path: str | Path, overwrite: bool = False) -> None:
    """Writes a PNG that is whole or not there at all.

    Args:
        image: PIL image, or uint8 array `[H, W]` or `[H, W, C]`, C = 1 or 3.
        path: where to.
        overwrite: bool. Whether a file that is there may be replaced. Defaults to `False`.

    Raises:
        FileExistsError: the file is there and may not be replaced.
    """
    with staged(path, overwrite) as temporary:
        _to_pil(image).save(temporary, format="PNG")


def png_bytes(image: Image.Image | np.ndarray) -> bytes:
    """The content of a PNG file; `image` as for `save_png`."""
    file = io.BytesIO()
    _to_pil(image).save(file, format="PNG")
    return file.getvalue()


def _to_pil(image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    return Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
