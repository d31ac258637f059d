"""Files appear whole or not at all: written beside their place, then renamed into it."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def refuse_existing(path, overwrite):
    """Raises FileExistsError when there is something at `path` and `overwrite` is False."""
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists; pass `--overwrite` (overwrite=True) to replace it")


@contextlib.contextmanager
def staged(path, overwrite=False):
    """Gives a temporary place to write to, and renames it to `path` when the block succeeds.

    The place is in a hidden folder beside `path`, hence on the same file system, under the same
    file name. A block that raises leaves nothing: no file, no hidden folder, no new parent folder.

    Args:
        path: path of a file or a folder that the block will make.
        overwrite: bool. Whether what is at `path` may be replaced. Defaults to `False`.

    Yields:
        Path: where to write.

    Raises:
        FileExistsError: `path` exists and `overwrite` is False.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    new_parents = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield folder / path.name
            refuse_existing(path, overwrite)
            _move_into_place(folder / path.name, path, folder / "replaced")
        finally:
            shutil.rmtree(folder)
    except BaseException:
        for parent in new_parents:  # the innermost first
            with contextlib.suppress(OSError):  # another writer put something in it
                parent.rmdir()
        raise


def _move_into_place(source, path, aside):
    if not path.is_dir() and not source.is_dir():
        os.replace(source, path)
        return
    # A folder cannot be replaced in one call: set the old one aside, and put it back on failure.
    if os.path.lexists(path):
        os.rename(path, aside)
    try:
        os.rename(source, path)
    except OSError:
        if os.path.lexists(aside):
            os.rename(aside, path)
        raise
