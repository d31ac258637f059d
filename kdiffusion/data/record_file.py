"""Images that stay in their file: rows are read when they are asked for.

The file is a TFRecord file whose records are all of one length: tf.data reads any of them by its
place, in threads of its own. Python is not asked: a thread that waits for Python's lock while an
iterator is removed under it would wait for ever.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

# What TFRecord has around the content: its length and the checksum of that, and its checksum.
_HEAD = np.dtype([("length", "<u8"), ("length_checksum", "<u4")])
_TAIL = np.dtype("<u4")


class RecordFile:
    """The uint8 rows of a TFRecord file: memory does not grow with the file.

    The system keeps what was read in memory that it can take back, for all processes that read the
    same file together. A memory map would count all of it as the process's own.

    Args:
        path: path of a file that `create` made and `write_rows` filled.
        shape: tuple of int, `(n, ...)`: what the file holds.

    Raises:
        ValueError: no such file, or not one of this size.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: str | os.PathLike, shape: Sequence[int]) -> None:
        self.path, self.shape = Path(path), tuple(map(int, shape))
        self.record_bytes = _record_bytes(self.shape)  # of a row, with what is around it
        needed = self.shape[0] * self.record_bytes
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        if size != needed:
            raise ValueError(
                f"{path} must hold {self.shape[0]} records of {self.record_bytes} bytes, "
                f"{needed} in all. Received: {size} bytes"
            )

    @property
    def ndim(self) -> int:
        """Dimensions, at least 1."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | ArrayLike) -> np.ndarray:
        """Rows by a whole number, a slice, or an array of whole numbers or of bool: a copy.

        Raises:
            ValueError: a record that is not as it was written, or never was.
        """
        indices = self._indices(rows)
        found = np.empty((indices.size, self.record_bytes), np.uint8)
        with self.path.open("rb", buffering=0) as file:
            for first, count in _runs(indices.ravel()):
                file.seek(int(indices.ravel()[first]) * self.record_bytes)
                block = found[first : first + count].data.cast("B")
                while block:
                    read = file.readinto(block)
                    if not read:
                        raise ValueError(f"{self.path} was cut short while it was read")
                    block = block[read:]
        content = np.ascontiguousarray(found[:, _HEAD.itemsize : -_TAIL.itemsize])
        head, tail = _around(content)
        is_damaged = (found[:, : _HEAD.itemsize] != head).any(1)
        is_damaged |= (found[:, -_TAIL.itemsize :] != tail).any(1)
        if is_damaged.any():
            raise ValueError(
                f"{self.path}: record {indices.ravel()[is_damaged][0]} is damaged: its checksum is "
                "not that of its bytes. Remove the folder, and pack the data set again"
            )
        return content.reshape(*indices.shape, *self.shape[1:])

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


def _record_bytes(shape):
    return _HEAD.itemsize + math.prod(shape[1:]) + _TAIL.itemsize


def _runs(indices):
    """(first, count) of the parts of `indices` that rise by one: one read each."""
    if not indices.size:
        return
    ends = np.append(np.flatnonzero(np.diff(indices) != 1) + 1, indices.size)
    first = 0
    for end in ends:
        yield first, int(end) - first
        first = int(end)


def create(path: str | os.PathLike, shape: Sequence[int]) -> None:
    """Makes the file for uint8 rows, without writing them.

    Args:
        path: path of the file; one that is there is replaced.
        shape: tuple of int, `(n, ...)`.
    """
    with Path(path).open("wb") as file:
        file.truncate(int(shape[0]) * _record_bytes(tuple(map(int, shape))))


def write_rows(path: str | os.PathLike, first: int, rows: np.ndarray) -> None:
    """Puts rows into a file, which several processes may do at a time.

    Args:
        path: path of a file that `create` made.
        first: int. Where the first of them goes.
        rows: uint8 array `[n, ...]`, n > 0, of the shape that the file was made for.

    Raises:
        ValueError: the file isn't made for such rows, or for so many.
    """
    rows = np.ascontiguousarray(rows, np.uint8)
    length = _record_bytes(rows.shape)
    places, remainder = divmod(Path(path).stat().st_size, length)
    if remainder or not 0 <= first <= places - len(rows):
        raise ValueError(f"rows {rows.shape} from {first} on do not fit into {path}")
    content = rows.reshape(len(rows), -1)
    head, tail = _around(content)
    records = np.concatenate([head, content, tail], 1)
    with Path(path).open("r+b", buffering=0) as file:
        file.seek(first * length)
        block = records.data.cast("B")
        while block:
            block = block[file.write(block) :]


def _around(content):
    """What TFRecord has before and after each row of bytes `[n, length]`: bytes, too."""
    head = np.zeros(len(content), _HEAD)
    head["length"] = content.shape[1]
    head["length_checksum"] = _masked_checksum(np.array(content.shape[1], "<u8").tobytes())
    tail = np.array([_masked_checksum(row.tobytes()) for row in content], _TAIL)
    return tuple(part.view(np.uint8).reshape(-1, part.itemsize) for part in (head, tail))


def _masked_checksum(content: bytes) -> int:
    """CRC-32C, turned by 15 bits and moved, as TFRecord has it."""
    checksum = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
