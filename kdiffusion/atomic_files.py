"""Files and folders appear whole or not at all: written beside their place, then renamed."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial"  # ends the name of a folder that is being written or removed


def refuse_existing(
    path: str | os.PathLike, overwrite: bool = False, mark: str | os.PathLike | None = None
) -> None:
    """Raises FileExistsError unless `path` is free, or what is there may be replaced.

    Args:
        path: path of a file or a folder.
        overwrite: bool. Whether a regular file, or a folder that holds `mark`, may be replaced.
            Symbolic links never are. Defaults to `False`.
        mark: path, within a folder, of the file by which we know a folder that we wrote. `None`
            for a file.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists; pass `--overwrite` (overwrite=True) to replace it")
    if path.is_symlink() or not (path if mark is None else path / mark).is_file():
        kind = "regular file" if mark is None else f"folder with our {Path(mark).name} inside"
        raise FileExistsError(
            f"{path} is not a {kind}, so it is not replaced. Choose another name, or remove it"
        )


@contextlib.contextmanager
def staged(
    path: str | os.PathLike, overwrite: bool = False, mark: str | os.PathLike | None = None
) -> Iterator[Path]:
    """Yields a place to write to, which is renamed to `path` when the block succeeds.

    It lies in a hidden folder beside `path`, on the same file system, and has the same file name.
    If the block raises, `path` stays as it was. A killed process leaves the hidden folder.

    Args:
        path: path of the file or folder that the block makes.
        overwrite, mark: as in `refuse_existing`.

    Yields:
        Path: where to write.

    Raises:
        FileExistsError: as `refuse_existing`, before the block and once more after it.
    """
    path = Path(path)
    refuse_existing(path, overwrite, mark)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is cut because a file name may have 255 bytes only.
    with tempfile.TemporaryDirectory(PARTIAL, f".{path.name[:50]}.", path.parent) as folder:
        new, old = Path(folder, path.name), Path(folder, ".old")
        yield new
        refuse_existing(path, overwrite, mark)
        try:
            if mark is not None and path.exists():  # no call replaces a folder by another
                os.rename(path, old)
            os.replace(new, path)
        finally:
            if old.exists() and not path.exists():
                os.rename(old, path)


def sync(path: Path) -> None:
    """Returns when a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
