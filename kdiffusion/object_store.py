"""Files at a URL that fsspec opens: `s3://bucket/name`, `gs://bucket/name`, and others.

fsspec is optional. It speaks to each store through a package of its own, such as s3fs, gcsfs or
adlfs; errors are theirs.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from kdiffusion.terminal import working


def is_url(place: str | os.PathLike) -> bool:
    """Whether a place is a URL, and no path of this machine."""
    return "://" in os.fspath(place)


def opened(url: str) -> tuple[Any, str]:
    """(fsspec's file system, the path in it) of a URL."""
    import fsspec

    system, root = fsspec.url_to_fs(url)
    system.invalidate_cache()
    return system, root.rstrip("/")


def download(url: str, folder: Path) -> list[str]:
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
            raise ValueError(f"{url} holds a name that leads out of its folder: {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(f"{root}/{name}".rstrip("/"), os.fspath(path))
    return names


def downloaded(url: str) -> Path:
    """A copy of the file or the folder at a URL, which lasts as long as this process.

    Raises:
        FileNotFoundError: nothing is there.
    """
    folder = tempfile.mkdtemp(prefix="kdiffusion-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, url.rstrip("/").rpartition("/")[2])
    with working(f"downloading {url}"):
        if not download(url, path):
            raise FileNotFoundError(f"{url} does not exist")
    return path
