"""What a command writes: all of its files or none, and none over another unless asked to."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.files import refuse_existing, staged
from kdiffusion.images import save_gif

# Suffix of an image file: how Pillow writes it.
IMAGES: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}


def choose_output(named: Path | None, default: str, overwrite: bool) -> Path:
    """The file to write.

    Args:
        named: path that the user named, which must be free unless `overwrite`; or None.
        default: str. The name where the user named none; `samples.png` becomes `samples_2.png`
            where that is there.
        overwrite: bool. Whether an existing file may be replaced.
    """
    if named is not None:
        refuse_existing(named, overwrite)
        suffixes = IMAGES if Path(default).suffix in IMAGES else (Path(default).suffix,)
        if named.suffix.lower() not in suffixes:  # else the work would be lost at its end
            raise ValueError(f"The name must end in {', '.join(suffixes)}. Received: {named}")
        return named
    path, number = Path(default), 2
    while path.exists() and not overwrite:
        path = Path(default).with_stem(f"{Path(default).stem}_{number}")
        number += 1
    return path


def refuse_outputs(*paths: Path | None, overwrite: bool) -> None:
    """Raises FileExistsError when one of the files is there: before the work, not after.

    Args:
        *paths: paths, or None for a file that isn't wanted.
        overwrite: bool. Whether files may be replaced.
    """
    for path in paths:
        if path is not None:
            refuse_existing(path, overwrite)


def write_outputs(contents: Mapping[Path | None, Any], overwrite: bool) -> str:
    """Writes files by what they hold; when one can't be written, none appears.

    Args:
        contents: dict from path (None: not wanted) to a PIL image (of a suffix in `IMAGES`), a list
            of PIL images (an endless GIF) or a dict of arrays (NPZ).
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
