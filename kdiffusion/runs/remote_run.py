"""A run whose folder is in an object store: worked on in a copy on this machine, and sent there.

```
s3://bucket/run/       laid out as a run's folder is
  owner.json           which process may write; the last that began or went on with it
```

The run is sent after each checkpoint, by the thread that writes checkpoints, and once more at the
end. A checkpoint counts from the moment its record.json is there, which is sent last and removed
first; the record knows the SHA-256 of all others. So does an exported folder from its graph on.
Folders are sent one after another, so that of several checkpoints some are whole at any time.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import itertools
import json
import os
import platform
import re
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kdiffusion.evaluation.real import cache_folder
from kdiffusion.object_store import Store, is_url
from kdiffusion.runs.run_directory import GRID, PARTS, locked

CONFIG, OWNER = "config.json", "owner.json"
# What belongs to a run; nothing else below its URL is read, replaced or removed.
_OURS = re.compile("|".join([CONFIG, re.escape(GRID), *(f"{n}/({p})" for n, p in PARTS.items())]))
_CHECKPOINT = re.compile(r"checkpoints/(?P<kind>\w+/)?step_(?P<step>\d+)/(?P<file>.+)")
_RECORD = "record.json"
# A folder that counts from the moment that one object of it is there, and that object.
_FOLDER = re.compile(r"checkpoints/(\w+/)?step_\d+/|export/\w+/")
_LAST = (_RECORD, "saved_model.pb", "denoiser.xml", "model_index.json")


class RunTaken(OSError):
    """Another process has begun to write the run."""


class RemoteRun:
    """A run below a URL, and its copy in a folder of this machine.

    Args:
        url: of the run's folder.
        writes: bool. Whether this process writes what all workers share. One that doesn't has a
            copy of its own, which lasts as long as the process.

    Raises:
        ValueError, OSError: as `Store`.
    """

    def __init__(self, url: str | os.PathLike, writes: bool = True):
        self._store = Store(url)
        self.url = self._store.url
        self._writes = writes
        self._token = ""
        self._sent: dict[str, tuple[int, int]] = {}
        self._look()
        self._is_newer_here = False
        if not writes:
            self.folder = _temporary_folder()
            self._fetch([CONFIG])
            return
        readable = re.sub(r"\W+", "_", self.url)[-60:]
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:8]
        self.folder = cache_folder() / "runs" / f"{readable}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        # What a process of this machine could not send is newer than what the store has, unless
        # another one has gone on with the run since.
        self._is_newer_here = self._owner() in self._owners_here()
        if not self._is_newer_here:
            with locked(self.folder):
                self._clear()
                self._fetch([CONFIG])

    def check_free(self) -> None:
        """Refuses to begin a run where files lie that none has written: `send` would remove them.

        Raises:
            FileExistsError: something lies where a part of a run would, and no config.json.
        """
        if self._there and CONFIG not in self._there:
            raise FileExistsError(
                f"{self.url}/{min(self._there)} is there, and {self.url} holds no run whose part "
                "it is. Choose another --run-dir, or move it away."
            )

    def fetch(self, any_worker: Callable[[bool], bool] | None = None) -> None:
        """Brings what a run goes on from: its checkpoints, its log, its grids and its exports.

        Args:
            any_worker: where several train, whether a flag is up on any of them, told to all once
                all have asked. What the one that writes has and the store lacks is sent first, so
                that all go on from the same.
        """
        if self._is_newer_here:
            # Exports alone are written from elsewhere, too.
            self._fetch({name for name in self._there if name.startswith("export/")})
            self._note_what_was_sent()
        if any_worker is not None and any_worker(self._is_newer_here):
            if self._writes:
                self.claim()
            any_worker(False)  # returns when it is sent
            self._look()
        if not self._is_newer_here:
            self._fetch(self._there)

    def claim(self, begins: bool = False) -> None:
        """Makes this process the one that writes the run, and sends what there is.

        Args:
            begins: bool. Whether the run is a new one: what is there of another goes first, or its
                checkpoints would pass for the new one's until all is sent.
        """
        self._token = json.dumps({"token": uuid.uuid4().hex, "machine": platform.node()})
        # Beside the tokens before: the store may keep the last of those, should it be away now.
        with (self.folder / OWNER).open("a", encoding="utf-8") as file:
            file.write(f"\n{self._token}")
        self._store.write(self._token.encode(), OWNER)
        if begins:
            self._remove(set(self._there))
        self.send()

    def send(self) -> None:
        """Makes the store hold what the folder does.

        Raises:
            RunTaken: another process has claimed the run.
            OSError: the store can't be written.
        """
        owner = self._owner()
        if owner != self._token:
            raise RunTaken(
                f"Another process has begun to write {self.url} ({owner or 'its owner is gone'}), "
                f"so this one stops. What it has made is in {self.folder}"
            )
        here = self._files()
        changed = {name for name, state in here.items() if self._sent.get(name) != state}
        in_order = sorted(changed, key=lambda name: (_folder_of(name), name.endswith(_LAST), name))
        for _, names in itertools.groupby(in_order, _folder_of):
            self._send_folder(list(names), here)
        self._remove(self._there - here.keys())

    def _send_folder(self, names, here):
        # One that is written anew counts as none from here on until its last object is there.
        self._store.remove([name for name in names if name.endswith(_LAST) and name in self._there])
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # replaced since: the next time, then
                self._store.upload(self.folder / name, name)
                self._sent[name] = here[name]
                self._there.add(name)

    def send_checkpoint(self) -> None:
        """Sends what there is; warns where the store can't be reached, and goes on.

        Raises:
            RunTaken: as `send`.
        """
        try:
            self.send()
        except RunTaken:
            raise
        except OSError as error:
            warnings.warn(
                f"{error}. What could not be sent goes with the next checkpoint; until then it is "
                f"in {self.folder} alone.",
                stacklevel=2,
            )

    def close(self) -> None:
        """Removes the copy, after `send`."""
        shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Lets errors name the URL, not the folder of the copy."""
        try:
            yield
        except RunTaken:
            raise
        except (OSError, ValueError, FloatingPointError) as error:
            text = str(error).replace(str(self.folder), self.url)
            if text == str(error):
                raise
            raise type(error)(text) from error

    def _look(self):
        self._there = {name for name in self._store.sizes() if _OURS.fullmatch(name)}

    def _remove(self, names):
        # config.json last: what is left when this is killed is still known for a run's.
        last = [name for name in names if name == CONFIG]
        others = sorted(names - {CONFIG}, key=lambda name: (not name.endswith(_LAST), name))
        self._store.remove([*others, *last])
        self._there -= names
        for name in names:
            self._sent.pop(name, None)

    def _owner(self):
        content = self._store.read(OWNER)
        return None if content is None else content.decode("utf-8", "replace")

    def _owners_here(self):
        """What the copy's processes have called themselves, since it was last made anew."""
        file = self.folder / OWNER
        return file.read_text(encoding="utf-8").split("\n") if file.is_file() else []

    def _note_what_was_sent(self):
        """Finds the checkpoints that the store has as they are here: by their very records."""
        here = self._files()
        for record in [name for name in here.keys() & self._there if name.endswith(_RECORD)]:
            if self._store.read(record) == (self.folder / record).read_bytes():
                names = {name for name in self._there if _folder_of(name) == _folder_of(record)}
                self._sent |= {name: here[name] for name in names & here.keys()}

    def _fetch(self, names):
        for name in sorted(self._there.intersection(names)):
            path = self.folder / name
            self._store.download(name, path)
            self._sent[name] = _state(path)

    def _clear(self):
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "run.lock":
                path.unlink()

    def _files(self):
        """State of each file of the run by name: what is being written has another name."""
        found = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            is_partial = ".partial/" in name
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and _OURS.fullmatch(name) and not is_partial:
                    found[name] = _state(path)
        return found


def _folder_of(name):
    match = _FOLDER.match(name)
    return match[0] if match else ""


def _state(path):
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _temporary_folder():
    folder = tempfile.mkdtemp(prefix="kdiffusion-run-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def opened(run_dir: str | os.PathLike, writes: bool = True) -> RemoteRun | None:
    """The run below a URL; None for a path, which is the run's folder itself."""
    return RemoteRun(run_dir, writes) if is_url(run_dir) else None


@functools.cache
def begun(run_dir: Path) -> Path:
    """A run's folder; for a URL one of this process, with what tells of the run: config.json."""
    if not is_url(run_dir):
        return run_dir
    store = Store(run_dir)
    folder = _temporary_folder()
    content = store.read(CONFIG)
    if content is not None:
        (folder / CONFIG).write_bytes(content)
    return folder


def to_draw(names: Iterable[str]) -> list[str]:
    """What is needed of a run to draw from it or to export it: its best checkpoint and its newest.

    Args:
        names: of what is in a folder; of one that is no run, all of it.
    """
    names = list(names)
    whole = [match for match in map(_CHECKPOINT.fullmatch, names) if match]
    records = [m for m in whole if m["file"] == _RECORD and not m["kind"]]
    if CONFIG not in names or not records:
        return names
    newest = max(records, key=lambda match: int(match["step"]))["step"]
    kept = [
        match.string
        for match in whole
        if match["kind"] == "best/" or (not match["kind"] and match["step"] == newest)
    ]
    return [CONFIG, *kept]
