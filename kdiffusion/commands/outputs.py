"""What a command writes: all of its files or none, and none over another unless told to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.files import refuse_existing, staged
from kdiffusion.images import save_gif

# What an image's name may end in ► how Pillow writes it.
IMAGES = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},  # no colour of its neighbours'
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
FILMS = (".gif",)
# Pixels that a side may have: libjpeg's and libwebp's own limits, and GIF's 16 bits.
LARGEST_SIDES = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383, ".gif": 65_535}
MOST_PIXELS = 500_000_000  # in all: 1.5 GB of memory


def refuse_names(images: Iterable[Path | None] = (), films: Iterable[Path | None] = ()) -> None:
    """Raises ValueError when a name says that something else is to be written: before the work.

    Args:
        images: paths, or None for one that is not wanted.
        films: the same.
    """
    for paths, endings, what in ((images, IMAGES, "an image"), (films, FILMS, "a film")):
        for path in paths:
            if path is not None and path.suffix.lower() not in endings:
                raise ValueError(
                    f"The name of {what} must end in one of {', '.join(endings)}. Received: {path}"
                )


def refuse_outputs(
    *paths: Path | None,
    overwrite: bool,
    marks: Mapping[Path, str | None] | None = None,
) -> None:
    """Raises FileExistsError when one of the files is there already: before the work, not after.

    Args:
        *paths: paths, or None for a file that is not wanted; no two the same.
        overwrite: bool. Whether files may be replaced.
        marks: dict from the path of a folder to its mark, as in
            `kdiffusion.files.refuse_existing`. Defaults to `None`: all are files.
    """
    wanted = [path for path in paths if path is not None]
    if len({path.resolve() for path in wanted}) < len(wanted):
        raise ValueError(f"The files to write must differ. Received: {', '.join(map(str, wanted))}")
    for path in wanted:
        refuse_existing(path, overwrite, (marks or {}).get(path))


def refuse_size(path: Path, size: tuple[int, int], frames: int = 1) -> None:
    """Raises ValueError when an image would be too large for its file: before the work.

    Args:
        path: of the image, with an ending of `IMAGES` or `FILMS`.
        size: width and height in pixels.
        frames: how many such images the file has.
    """
    ending = path.suffix.lower()
    most = LARGEST_SIDES.get(ending, MOST_PIXELS)
    if max(size) > most or frames * size[0] * size[1] > MOST_PIXELS:
        what = "film" if ending in FILMS else "image"
        side = f"{most:,} pixels a side, and " if ending in LARGEST_SIDES else ""
        of_frames = f"{frames} frames of " if ending in FILMS else ""
        raise ValueError(
            f"The {what} must have at most {side}{MOST_PIXELS:,} pixels in all: draw fewer, or "
            f"give a smaller `--scale`. Received: {of_frames}{size[0]:,}x{size[1]:,} pixels for "
            f"{path}"
        )


def write_outputs(contents: Mapping[Path | None, Any], overwrite: bool) -> str:
    """Writes files by what they hold; when one cannot be written, none appears.

    Args:
        contents: dict from path (None: not wanted) to a PIL image (of the kind that its name ends
            in, see `IMAGES`), a list of PIL images (an endless GIF) or a dict of arrays (NPZ).
        overwrite: bool. Whether files may be replaced.

    Returns:
        str: the names of the files, for a last line on the screen.
    """
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            if path is None:
                continue
            temporary = stack.enter_context(staged(path, overwrite))
            if isinstance(content, dict):
                with open(temporary, "wb") as file:  # given a name, NumPy would append ".npz"
                    np.savez_compressed(file, **content)
            elif isinstance(content, list):
                save_gif(content, temporary)
            else:
                content.save(temporary, **IMAGES[path.suffix.lower()])
    return ", ".join(str(path) for path in contents if path is not None)
