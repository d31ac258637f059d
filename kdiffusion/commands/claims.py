"""Who draws which file, agreed on by files alone: workers need only share a folder.

A claim is a hidden file beside the one that will be drawn, made by a call that only one of many
processes can win. Its holder touches it again and again. Where it stays untouched for the lease,
its holder is lost, and another makes the claim of the next generation, which again only one can
win. So no claim is ever taken from its holder: it is succeeded.

A holder that was only stopped for long may wake up and draw the same file. It does no harm: a file
holds the images of certain seeds, whoever draws it, and appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path

LEASE_SECONDS = 30.0
BEATS = 6  # in a lease: so many may fail or be late before a living worker is taken for lost


class Claims:
    """The claims of one worker on files of a folder.

    Args:
        folder: path of a folder that is there. It must be a file system that makes a file for one
            process only (`O_EXCL`): a local disk, NFS, Lustre; no object store.
        lease_seconds: float. How long a claim may stay untouched. All workers must have the same.
            Defaults to `30`.
    """

    def __init__(self, folder: str | os.PathLike, lease_seconds: float = LEASE_SECONDS):
        if not lease_seconds > 0:
            raise ValueError(
                f"`lease_seconds` must be above 0. Received: lease_seconds={lease_seconds}"
            )
        self._folder, self._lease = Path(folder), lease_seconds
        # What others' claims looked like, and since when, by this process's own clock: those of
        # other machines, and of the file system, may be wrong.
        self._seen: dict[Path, tuple[int, float]] = {}

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """Gives whether this worker may draw a file, and keeps others from it within the block.

        Look within the block whether the file is there: it may have been finished meanwhile.

        Args:
            name: str. Of the file in the folder, which need not be there.
        """
        generation = self._take(name)
        if generation is None:
            yield False
            return
        path, done = self._path(name, generation), threading.Event()
        heart = threading.Thread(target=self._beat, args=(path, done), daemon=True)
        heart.start()
        try:
            yield True
        except BaseException:
            self._end(done, heart)
            # Those of the lost stay: while they do, the next is one generation above them.
            path.unlink(missing_ok=True)
            raise
        self._end(done, heart)
        for number in range(generation, -1, -1):
            self._path(name, number).unlink(missing_ok=True)

    def _path(self, name, generation):
        return self._folder / f".{name}.{generation}.claim"

    def _take(self, name):
        """The generation of the claim that this worker won, or None where another has it."""
        for generation in itertools.count():
            path = self._path(name, generation)
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                if self._is_lost(path):
                    continue
                return None
            with open(descriptor, "w") as file:  # for a person who looks
                file.write(f"{platform.node()} {os.getpid()}\n")
            return generation

    def _is_lost(self, path):
        try:
            with open(path, "rb") as file:  # opened, for NFS tells of a closed file from memory
                touched = os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:  # its holder is done
            return False
        before, since = self._seen.get(path, (None, 0.0))
        if touched != before:
            self._seen[path] = touched, time.monotonic()
            return False
        return time.monotonic() - since > self._lease

    def _beat(self, path, done):
        while not done.wait(self._lease / BEATS):
            with contextlib.suppress(OSError):  # the next beat may succeed
                os.utime(path)

    def _end(self, done, heart):
        done.set()
        heart.join()
