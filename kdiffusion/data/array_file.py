"""An array that stays in its file: rows are read when they are asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike


class ArrayFile:
    """The rows of a .npy file, read as they are asked for: memory does not grow with the file.

    The system keeps what was read in memory that it can take back, for all processes that read the
    same file together. A memory map would count all of it as the process's own.

    Args:
        path: path of a .npy file as `numpy.save` writes it, in C order.

    Raises:
        ValueError: no such file, or one that is cut short.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read_header = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                self.shape, fortran_order, self.dtype = read_header(file)
                self._first = file.tell()
                size = os.fstat(file.fileno()).st_size
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path} cannot be read as an array: {error}") from error
        needed = self._first + self.dtype.itemsize * math.prod(self.shape)
        if fortran_order or not self.shape or self.dtype.hasobject or size != needed:
            raise ValueError(
                f"{path} must hold an array in C order, whole: {needed} bytes. "
                f"Received: {size} bytes"
            )
        self._row = self.dtype.itemsize * math.prod(self.shape[1:])

    @property
    def ndim(self) -> int:
        """Dimensions, at least 1."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | ArrayLike) -> np.ndarray:
        """Rows by a whole number, a slice, or an array of whole numbers or of bool: a copy."""
        indices = self._indices(rows)
        found = np.empty((indices.size, *self.shape[1:]), self.dtype)
        with self.path.open("rb", buffering=0) as file:
            for first, count in _runs(indices.ravel()):
                file.seek(self._first + int(indices.ravel()[first]) * self._row)
                block = found[first : first + count].data.cast("B")
                while block:
                    read = file.readinto(block)
                    if not read:
                        raise ValueError(f"{self.path} was cut short while it was read")
                    block = block[read:]
        return found.reshape(*indices.shape, *self.shape[1:])

    def _indices(self, rows):
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        indices = np.asarray(rows)
        if indices.dtype == bool:
            return np.arange(len(self))[indices]
        if indices.dtype.kind not in "iu":
            raise IndexError(f"rows must be whole numbers, a slice or bools. Received: {rows!r}")
        if indices.size and not -len(self) <= indices.min() <= indices.max() < len(self):
            raise IndexError(
                f"rows must lie in [0, {len(self)}). Received: rows from {indices.min()} to "
                f"{indices.max()}"
            )
        return indices % len(self)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """All of it, in memory."""
        return np.asarray(self[:], dtype)


def _runs(indices):
    """(first, count) of the parts of `indices` that rise by one: one read each."""
    if not indices.size:
        return
    ends = np.append(np.flatnonzero(np.diff(indices) != 1) + 1, indices.size)
    first = 0
    for end in ends:
        yield first, int(end) - first
        first = int(end)


def create(path: str | os.PathLike, shape: Sequence[int], dtype: DTypeLike) -> None:
    """Makes the .npy file of an array of zeros, without writing them.

    Args:
        path: path of the file; one that is there is replaced.
        shape: tuple of int.
        dtype: NumPy dtype.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    with Path(path).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": tuple(map(int, shape))})
        file.truncate(file.tell() + np.dtype(dtype).itemsize * math.prod(shape))


def write_rows(path: str | os.PathLike, first: int, rows: np.ndarray) -> None:
    """Puts rows into the file of an array, which several processes may do at a time.

    Args:
        path: path of a file that `create` made.
        first: int. Where the first of them goes.
        rows: array `[n, ...]` of the file's dtype.
    """
    whole = ArrayFile(path)
    rows = np.ascontiguousarray(rows, whole.dtype)
    if rows.shape[1:] != whole.shape[1:] or not 0 <= first <= len(whole) - len(rows):
        raise ValueError(f"rows {rows.shape} from {first} on do not fit into {whole.shape}")
    with Path(path).open("r+b", buffering=0) as file:
        file.seek(whole._first + first * whole._row)
        block = rows.data.cast("B")
        while block:
            block = block[file.write(block) :]
