"""Files at a URL that fsspec opens: `s3://bucket/name`, `gs://bucket/name`, and others.

A run at a URL is trained in a folder of this machine, and copied there. Whoever trains at a URL
keeps others away from it: a store has no locks.

fsspec is optional. It speaks to each store through a package of its own, such as s3fs, gcsfs or
adlfs; errors are theirs.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from kdiffusion.atomic_files import PARTIAL
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


class RunCopy:
    """A copy of the run at a URL, in a temporary folder that is removed with this process.

    Args:
        url: str. There may be no run yet.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.folder = Path(tempfile.mkdtemp(prefix="kdiffusion-run-"))
        with working(f"copying {self.url}"):
            download(url, self.folder)
        self._sent = self._files()
        self._is_sent = True
        atexit.register(self._remove)

    def send(self) -> None:
        """Makes the URL have what the folder has; what others have added there stays."""
        self._is_sent = False
        system, root = opened(self.url)
        here = self._files()
        for name in sorted(here, reverse=True):
            if here[name] != self._sent.get(name):
                system.put_file(os.fspath(self.folder / name), f"{root}/{name}")
                self._sent[name] = here[name]
        for name in self._sent.keys() - here.keys():
            system.rm_file(f"{root}/{name}")
            del self._sent[name]
        self._is_sent = True

    def send_checkpoint(self) -> None:
        """`send`, which warns where the store can't be reached: the next checkpoint tries again."""
        try:
            self.send()
        except Exception as error:  # each store's package has its own
            warnings.warn(f"{self.folder} is not copied to {self.url}: {error!r}", stacklevel=2)

    def _files(self):
        """{name: (bytes, time)} of each file that is whole."""
        states = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and f"{PARTIAL}/" not in name and name != "run.lock":
                states[name] = path.stat().st_size, path.stat().st_mtime_ns
        return states

    def _remove(self):
        if self._is_sent:
            shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def run_copy(url: str) -> RunCopy:
    """The one copy that this process has of the run at a URL."""
    return RunCopy(url)


def local_folder(run_dir: str | os.PathLike) -> Path:
    """The folder of a run on this machine: that of its copy, where it is at a URL."""
    return run_copy(os.fspath(run_dir)).folder if is_url(run_dir) else Path(run_dir)
