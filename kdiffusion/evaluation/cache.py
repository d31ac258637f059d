"""What was computed of real images, kept on disk by what it was computed from."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.files import staged

VARIABLE = "KDIFFUSION_CACHE_DIR"
ROWS = 4096  # of an array that are read at a time
VERSION = 2  # of what is kept; raise it when the same inputs give other numbers


def cache_folder() -> Path:
    """Where it lies: $KDIFFUSION_CACHE_DIR, or `kdiffusion` in the system's folder for caches.

    That is $XDG_CACHE_HOME or ~/.cache on Linux, ~/Library/Caches on macOS, %LOCALAPPDATA% on
    Windows.
    """
    if os.environ.get(VARIABLE):  # set to nothing counts as unset, as XDG has it
        return Path(os.environ[VARIABLE])
    if sys.platform == "darwin":
        parent = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        parent = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / "kdiffusion"


def digest(*parts: Any) -> str:
    """SHA-256, in hexadecimal, of arrays and strings, in this order.

    Args:
        *parts: str, or array of one dimension at least, by its type, shape and content: that of a
            `RecordFile` is read piece by piece.
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(f"text {len(part)} {part} ".encode())
            continue
        total.update(f"array {part.dtype} {part.shape} ".encode())
        for first in range(0, len(part), ROWS):
            total.update(np.ascontiguousarray(part[first : first + ROWS]).data)
    return total.hexdigest()


def cached(key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `compute()` gives, or gave before under this key.

    Args:
        key: str, such as `digest` makes, of all that decides the array.
        compute: function of nothing.

    Returns:
        Array that lies on disk and is read where it is used (`numpy.memmap`); in memory, with a
        warning, where the cache can't be written.
    """
    path = cache_folder() / "evaluation" / f"v{VERSION}-{key}.npy"
    if not path.exists() or path.stat().st_size == 0:  # as a power cut leaves it
        array = np.asarray(compute())
        try:
            with staged(path, overwrite=True) as temporary:
                np.save(temporary, array)
        except OSError as error:
            warnings.warn(
                f"The cache {path.parent} cannot be written, so the same is computed again next "
                f"time. ${VARIABLE} names another folder. {error}",
                stacklevel=2,
            )
            return array
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is damaged; delete it, and it is made again: {error}") from error
