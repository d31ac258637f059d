"""Files and folders appear whole or not at all, and take the place of nothing that isn't ours.

They are written beside their place, in a hidden folder, and renamed into it. What may be replaced
is a regular file, or a folder that has our own mark and holds nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there what a killed process leaves is not known from work going on
    fcntl = None

# NAME is written as .NAME.xxxxxxxx.kdiffusion-partial/new/NAME; the first is cut, for the 255 bytes
# that a name may have. A folder that it replaces waits in old/. The lock is held as long as the
# process that writes lives, and names its machine: not every shared file system tells one machine
# of the locks of another.
PARTIAL = ".kdiffusion-partial"
_MOST_NAME_BYTES = 255
_NEW, _OLD, _LOCK = "new", "old", "lock"
_LEFT = rf"(.*/)?\.[^/]+{re.escape(PARTIAL)}/.*"
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/")  # a Path has one slash of two; a drive has one letter
_DAY = 24 * 60 * 60.0  # seconds; no file takes longer to write, on whatever machine


def refuse_existing(
    path: str | os.PathLike,
    overwrite: bool = False,
    ours: Callable[[Path], str | None] | None = None,
) -> None:
    """Raises FileExistsError unless `path` is free, or what is there may be replaced.

    So it does for a URL, which is no path; and OSError where nothing can be written.

    At a process's first look it mends what killed ones left in the folder of `path`.

    Args:
        path: path of a file or a folder.
        overwrite: bool. Whether what is there may be replaced, if it is ours. Defaults to `False`.
        ours: None for a file: a regular file alone is replaced. For a folder, a function from its
            Path to a regular expression for the files that it may hold (by their posix path in it),
            or to None where it lacks our mark.
    """
    path = Path(path)
    if _URL.match(os.fspath(path)):  # else a folder `s3:` would be made
        raise FileExistsError(
            f"{path} is a URL, and this is written to this machine alone. A run (`--run-dir`) and "
            "what `export` writes may be in an object store"
        )
    if path.name in ("", ".."):  # the one that is worked in, or has no folder around it
        raise FileExistsError(
            f"{path} has no name of its own, so that nothing can be written beside it and take its "
            "place. Name it from outside, such as ../images"
        )
    refuse_place(path)
    _mend_once(path.parent)
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists; pass `--overwrite` (overwrite=True) to replace it")
    mode = path.lstat().st_mode
    if ours is None:
        if not stat.S_ISREG(mode):
            raise FileExistsError(
                f"{path} is {_kind(mode)}, and only a regular file is replaced. Choose another "
                "name, or remove it yourself"
            )
        return
    if not stat.S_ISDIR(mode):
        raise FileExistsError(
            f"{path} is {_kind(mode)}, and only a folder that was written before is replaced. "
            "Choose another name, or remove it yourself"
        )
    holds = ours(path)
    if holds is None:
        raise FileExistsError(
            f"{path} is not a folder that this command wrote, so it is not replaced. Choose "
            "another name, or remove it yourself"
        )
    refuse_foreign(path, holds)


def refuse_place(path: str | os.PathLike) -> None:
    """Raises OSError where no file or folder of this path could be made: before the work.

    Args:
        path: path; folders that it lies in may be missing yet.
    """
    path = Path(path)
    longest = max(len(os.fsencode(name)) for name in (*path.parts, ""))
    if longest > _MOST_NAME_BYTES:
        raise OSError(
            f"{path} cannot be written: a name must be {_MOST_NAME_BYTES} bytes long at most. "
            f"Received: one of {longest}"
        )
    around = next((each for each in path.parents if os.path.lexists(each)), Path(path.anchor))
    if not around.is_dir():
        raise NotADirectoryError(
            f"{path} cannot be written: {around} is {_kind(around.lstat().st_mode)}, not a folder"
        )
    try:
        _write_once(around)
    except OSError as error:
        raise type(error)(f"{path} cannot be written: in {around}, {error.strerror}") from error


@functools.lru_cache(64)
def _write_once(folder):
    """Makes a file that is gone at once: its folder's mode says nothing to root, or in /proc."""
    tempfile.TemporaryFile(dir=folder).close()


def refuse_link(folder: Path) -> None:
    """Raises FileExistsError if a folder that a program names by itself is a symbolic link."""
    if Path(folder).is_symlink():
        raise FileExistsError(
            f"{folder} is a symbolic link, so it is not followed. Choose another place, or remove "
            "it yourself"
        )


def refuse_foreign(folder: Path, holds: str) -> None:
    """Raises FileExistsError if a folder is a link, or holds more than what it is known to hold.

    Args:
        folder: path.
        holds: regular expression, which the posix path of each file below it must match. What is
            neither a folder nor a regular file is refused under any name.
    """
    folder = Path(folder)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise FileExistsError(
            f"{folder} is {_kind(folder.lstat().st_mode)}, not a folder, so it is neither followed "
            "nor removed. Remove it yourself"
        )
    for path in _below(folder):
        mode = path.lstat().st_mode
        is_known = re.fullmatch(f"{holds}|{_LEFT}", path.relative_to(folder).as_posix())
        if not stat.S_ISREG(mode) or not is_known:
            raise FileExistsError(
                f"{path} ({_kind(mode)}) was not written by this program, so {folder} is not "
                "removed. Move it away, or choose another place"
            )


def list_files(folder: Path, manifest: str) -> None:
    """Makes a folder list all that it holds, the list too, in a JSON file named `manifest`."""
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    text = json.dumps({"files": sorted([*files, manifest])}, indent=1)
    (folder / manifest).write_text(text, encoding="utf-8")


def listed_files(folder: Path, manifest: str) -> str | None:
    """What a folder may hold that is replaced, where it lists that itself.

    Args:
        folder: Path.
        manifest: str. The name of its JSON file, which `list_files` wrote.

    Returns:
        str: the pattern of the names, as of `refuse_foreign`; None for a folder that lists nothing.
    """
    try:
        files = json.loads((folder / manifest).read_text(encoding="utf-8"))["files"]
        return "|".join(map(re.escape, files))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _below(folder):
    """Each path below a folder that is no folder itself, links included, in order of name."""

    def fail(error):
        raise error

    for parent, folders, files in os.walk(folder, onerror=fail):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        yield from (Path(parent, name) for name in sorted([*links, *files]))


def _kind(mode):
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")


@contextlib.contextmanager
def staged(
    path: str | os.PathLike,
    overwrite: bool = False,
    ours: Callable[[Path], str | None] | None = None,
    durable: bool = False,
) -> Iterator[Path]:
    """Gives a temporary place to write to, and renames it to `path` when the block succeeds.

    The place is below a hidden folder beside `path`, hence on the same file system, under the same
    file name. A block that raises leaves nothing: no file, no hidden folder, no new parent folder.
    What a killed process leaves, the next one mends.

    Args:
        path: path of a file or a folder that the block will make.
        overwrite, ours: as of `refuse_existing`.
        durable: bool. Whether it is on the disk, safe from a power cut, before it takes its place.
            Defaults to `False`.

    Yields:
        Path: where to write.

    Raises:
        FileExistsError: as `refuse_existing`.
    """
    path = Path(path)
    refuse_existing(path, overwrite, ours)
    new_parents = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _staging_folder(path) as folder:
            new, old = folder / _NEW / path.name, folder / _OLD / path.name
            yield new
            if durable:
                for written in (*_below(new), new) if new.is_dir() else (new,):
                    sync(written)
            refuse_existing(path, overwrite, ours)
            _move_into_place(new, path, old)
            if durable:
                sync(path.parent)
    except BaseException:
        for parent in new_parents:  # the innermost first
            with contextlib.suppress(OSError):  # another writer put something in it
                parent.rmdir()
        raise


@contextlib.contextmanager
def _staging_folder(path):
    """A hidden folder beside `path`, known by its lock to be in use; it is gone afterwards."""
    lock = folder = None
    while folder is None or lock is None:  # it went, on a disk shared with a clock that is days off
        folder = Path(tempfile.mkdtemp(PARTIAL, f".{path.name[:50]}.", path.parent))
        try:
            lock = _lock(folder, make=True)
        except OSError:
            folder.rmdir()
            raise
    try:
        os.write(lock, platform.node().encode())
        (folder / _NEW).mkdir()
        yield folder
    finally:
        try:
            _remove(folder)
        finally:
            os.close(lock)


def _remove(folder):
    """Puts back what a staging folder had set aside, and removes it. Its lock is held.

    What isn't put back has been replaced. The lock is the last to go: so long as there is one,
    others see that the folder is in use, and they make none themselves.
    """
    for old in (folder / _OLD).glob("*"):
        if not os.path.lexists(folder.parent / old.name):
            os.rename(old, folder.parent / old.name)
    for part in (_NEW, _OLD):
        if (folder / part).exists():
            shutil.rmtree(folder / part)
    (folder / _LOCK).unlink()
    folder.rmdir()


def _lock(folder, make=False):
    """Takes the lock of a staging folder, as long as the descriptor that it returns is open.

    None means that the folder is in use, gone, without a lock or another user's. The folder's maker
    makes the lock, waits for those who look at it, and does without on a file system without locks.
    """
    try:
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT if make else 0)
        descriptor = os.open(folder / _LOCK, flags, 0o600)
    except OSError as error:
        if make and not isinstance(error, FileNotFoundError):
            raise  # another folder would have no lock either
        return None
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if make else fcntl.LOCK_NB))
        is_held = os.path.samestat(os.fstat(descriptor), os.lstat(folder / _LOCK))
    except (BlockingIOError, FileNotFoundError):  # the second: removed since it was opened
        is_held = False
    except OSError:
        is_held = make
    if not is_held:
        os.close(descriptor)
        return None
    return descriptor


def _move_into_place(new, path, old):
    if not new.is_dir():
        os.replace(new, path)
        return
    # A folder cannot be replaced in one call. If the second fails, `_remove` puts the old one back.
    if os.path.lexists(path):
        old.parent.mkdir()
        os.rename(path, old)
    os.rename(new, path)


@functools.lru_cache(64)
def _mend_once(folder):
    """Of tens of thousands of files that a process writes into a folder, one looks through it."""
    mend(folder)


def mend(folder: Path) -> None:
    """Clears up what killed processes left in a folder, and puts back what they had set aside.

    What was left from another machine is cleared up after a day.

    Args:
        folder: path. What it holds besides is not touched, nor is what another process is writing.
    """
    if fcntl is None:
        return
    for leftover in Path(folder).glob(f".*{PARTIAL}"):
        if not _is_own_folder(leftover):
            continue
        lock = _lock(leftover)
        if lock is None:
            _remove_without_lock(leftover)
            continue
        try:
            is_here = (leftover / _LOCK).read_bytes() == platform.node().encode()
            if not is_here and time.time() - leftover.stat().st_mtime < _DAY:
                continue
            _remove(leftover)
        finally:
            os.close(lock)


def _remove_without_lock(folder):
    """Removes what was killed before it made its lock, or after it removed it: an empty folder."""
    with contextlib.suppress(OSError):  # it has a lock, which another holds, or is gone
        if time.time() - folder.stat().st_mtime > _DAY:
            folder.rmdir()


def _is_own_folder(path):
    try:
        status = path.lstat()
    except FileNotFoundError:  # another process was done with it
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


@contextlib.contextmanager
def held(folder: str | os.PathLike) -> Iterator[None]:
    """Keeps a folder to this process as long as the block runs; a killed process holds nothing.

    Where there are no locks (Windows, some network disks), nobody is refused.

    Args:
        folder: path of a folder that is there.

    Raises:
        FileExistsError: another process holds it, or has moved it just now.
    """
    if fcntl is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError:  # a file system without locks
                pass
            is_held = os.path.samestat(os.fstat(descriptor), os.stat(folder))
        except (BlockingIOError, FileNotFoundError):
            is_held = False
        if not is_held:
            raise FileExistsError(
                f"Another process is at work in {folder}. Wait until it has ended, or choose "
                "another place"
            )
        yield


def visible(folder: Path) -> list[Path]:
    """What a folder holds, in order of name, but for what is hidden: `.name`.

    Raises:
        ValueError: one is a link to nothing: it may have been an image, or a class.
    """
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    lost = next((path for path in inside if path.is_symlink() and not path.exists()), None)
    if lost is not None:
        raise ValueError(f"{lost} is a link to nothing. Remove it, or mend what it links to.")
    return inside


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
