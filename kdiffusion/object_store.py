"""Files in an object store: `s3://bucket/name`, `gs://bucket/name`, or any URL that fsspec opens.

fsspec, which is optional, speaks to each store by a package of its own (s3fs, gcsfs, adlfs). An
object appears whole or not at all, and nothing can be renamed: what is made of several objects
counts from the moment its last one is there.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kdiffusion.terminal import working

INSTALL = "`pip install fsspec` and the store's own package, such as s3fs, gcsfs or adlfs"
# A Path has one slash where two were. One letter is a drive of Windows; `hf` is the Hub, and a file
# of this machine needs no URL.
_URL = re.compile(r"(?!(hf|file|local):)(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)")
MOST_OBJECTS = 100  # of a folder that is opened: a whole bucket is a slip


def is_url(word: str | os.PathLike) -> bool:
    """Whether a user's word is the URL of something in an object store."""
    return _URL.fullmatch(os.fspath(word)) is not None


def spelled(word: str | os.PathLike) -> str:
    """A URL as it was written, without a slash at its end: a Path drops one of its two."""
    match = _URL.fullmatch(os.fspath(word))
    return f"{match['scheme']}://{match['rest'].rstrip('/')}" if match else os.fspath(word)


class Store:
    """The objects below a URL, by their names from there on.

    Args:
        url: str or Path.

    Raises:
        ValueError: fsspec isn't installed, or knows no such store.
    """

    def __init__(self, url: str | os.PathLike):
        self.url = spelled(url)
        try:
            fsspec = importlib.import_module("fsspec")
            self._system, self._root = fsspec.url_to_fs(self.url)
        except ImportError as error:  # of fsspec, or of what it imports for this store
            raise ValueError(f"{self.url} is in an object store, which needs {INSTALL}") from error
        except ValueError as error:
            raise ValueError(f"{self.url} is in no store that fsspec knows: {error}") from error

    def sizes(self) -> dict[str, int]:
        """Bytes of each object below the URL, by name; of the object at it, under an empty name.

        Raises:
            ValueError: a name that leads out of its folder.
        """
        with self._reporting("read"):
            self._system.invalidate_cache()
            found = self._system.find(self._root, detail=True)
        root = self._root.rstrip("/")
        sizes = {name.removeprefix(root).lstrip("/"): each["size"] for name, each in found.items()}
        for name in sizes:
            # A store takes any name, and a file of this one would lie outside the folder.
            if ".." in name.replace("\\", "/").split("/"):
                raise ValueError(f"{self.url} holds an object that no file may be named as: {name}")
        return sizes

    def read(self, name: str) -> bytes | None:
        """An object's content; None where there is none."""
        with self._reporting("read"):
            try:
                return self._system.cat_file(self._path(name))
            except FileNotFoundError:
                return None

    def download(self, name: str, path: Path) -> None:
        """Writes an object to a file, in folders that are made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._reporting("read"):
            self._system.get_file(self._path(name), os.fspath(path))

    def upload(self, path: Path, name: str) -> None:
        """Makes an object of a file, in the place of what has that name."""
        with self._reporting("written"):
            self._system.put_file(os.fspath(path), self._path(name))

    def write(self, content: bytes, name: str) -> None:
        """Makes an object, in the place of what has that name."""
        with self._reporting("written"):
            self._system.pipe_file(self._path(name), content)

    def remove(self, names: Iterable[str]) -> None:
        """Removes objects, one after another; one that is gone is none the less."""
        with self._reporting("removed"):
            for name in names:
                with contextlib.suppress(FileNotFoundError, KeyError):  # the second: in memory
                    self._system.rm_file(self._path(name))

    def _path(self, name):
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    @contextlib.contextmanager
    def _reporting(self, done: str) -> Iterator[None]:
        """Raises OSError in one line, whatever the store's library raises."""
        try:
            yield
        except Exception as error:  # botocore's, aiohttp's, google's
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = " ".join(lines)[:300] or type(error).__name__
            raise OSError(f"{self.url} could not be {done}: {reason}") from error


def downloaded(
    url: str | os.PathLike, wanted: Callable[[Iterable[str]], Iterable[str]] = tuple
) -> Path:
    """What a URL stands for, in a folder that lasts as long as this process.

    Args:
        url: of an object, or of a folder of them.
        wanted: function from the names in a folder to those that are needed. Defaults to all.

    Returns:
        Path of a file or of a folder, under the name that it has in the store.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: a folder of more than `MOST_OBJECTS`; as `Store`.
        OSError: it can't be reached.
    """
    store = Store(url)
    with working(f"downloading {store.url}"):
        sizes = store.sizes()
        names = [""] if "" in sizes else sorted(wanted(sizes))
        if not sizes:
            raise FileNotFoundError(f"{store.url} does not exist")
        if len(names) > MOST_OBJECTS:
            raise ValueError(
                f"{store.url} must be an exported file or folder, or a run. It holds {len(names)} "
                "objects"
            )
        folder = tempfile.mkdtemp(prefix="kdiffusion-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder, store.url.rpartition("/")[2])
        for name in names:
            store.download(name, path / name if name else path)
    return path
