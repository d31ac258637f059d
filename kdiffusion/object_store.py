"""Files at a URL that fsspec opens: `s3://bucket/name`, `gs://bucket/name`, and others.

fsspec is optional. It speaks to each store through a package of its own, such as s3fs, gcsfs or
adlfs; errors are theirs.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from kdiffusion.terminal import working

# A Path has one slash where two were. One letter is a drive of Windows; `hf` is the Hub, and a file
# of this machine needs no URL.
_URL = re.compile(r"(?!(hf|file|local):)(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)")


def is_url(word: str | os.PathLike) -> bool:
    """Whether a user's word is the URL of something in an object store."""
    return _URL.fullmatch(os.fspath(word)) is not None


def spelled(word: str | os.PathLike) -> str:
    """A URL as it was written, without a slash at its end: a Path drops one of its two."""
    match = _URL.fullmatch(os.fspath(word))
    return f"{match['scheme']}://{match['rest'].rstrip('/')}" if match else os.fspath(word)


def opened(url: str | os.PathLike) -> tuple[Any, str]:
    """(fsspec's file system, the path in it) of a URL."""
    import fsspec

    system, root = fsspec.url_to_fs(spelled(url))
    system.invalidate_cache()
    return system, root.rstrip("/")


def download(url: str | os.PathLike, folder: Path) -> list[str]:
    """Copies all that is below a URL into a folder of this machine.

    Returns:
        list of the names below the URL.

    Raises:
        ValueError: a name that leads out of the folder.
    """
    system, root = opened(url)
    names = [name.removeprefix(root).lstrip("/") for name in system.find(root)]
    for name in names:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{spelled(url)} holds a name that leads out of its folder: {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(f"{root}/{name}".rstrip("/"), os.fspath(path))
    return names


def downloaded(url: str | os.PathLike) -> Path:
    """A copy of the file or the folder at a URL, which lasts as long as this process.

    Raises:
        FileNotFoundError: nothing is there.
    """
    folder = tempfile.mkdtemp(prefix="kdiffusion-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, spelled(url).rpartition("/")[2])
    with working(f"downloading {spelled(url)}"):
        if not download(url, path):
            raise FileNotFoundError(f"{spelled(url)} does not exist")
    return path
