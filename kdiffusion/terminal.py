"""What a long command says: lines, and on a terminal one line below them that moves.

Where nobody watches, as in a pipe or a log, the moving line is left out.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Iterator

FRAMES = "|/-\\"
SECONDS_BETWEEN_FRAMES = 0.1
CLEAR = "\r\x1b[K"

_writing = threading.RLock()
_moving = ""  # what the moving line shows


@contextlib.contextmanager
def errors_alone(logger: str) -> Iterator[None]:
    """Keeps a library's logger, by its name, from printing anything below an error."""
    named = logging.getLogger(logger)
    before = named.level
    named.setLevel(logging.ERROR)
    try:
        yield
    finally:
        named.setLevel(before)


def is_watched() -> bool:
    """Whether what is printed is seen on a terminal that can rewrite its last line."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str = "") -> None:
    """Prints lines that stay, above the moving line."""
    with _writing:
        shown = _moving
        move("")
        print(text, flush=True)
        move(shown)


def move(text: str) -> None:
    """Shows a text as the moving line, cut to the terminal's width; an empty one takes it away."""
    global _moving
    with _writing:
        if not is_watched() or text == _moving == "":
            return
        _moving = text
        # One column less: some terminals begin a new line after the last.
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(CLEAR + text[:width])
        sys.stdout.flush()


@contextlib.contextmanager
def working(what: str, line: bool = False) -> Iterator[None]:
    """Shows what is being done, with a spinner and the seconds that it has taken so far.

    Args:
        what: str. Such as "loading TensorFlow".
        line: bool. Whether to print a line of it where nobody watches. Defaults to `False`.
    """
    if not is_watched():
        if line:
            say(f"{what} ...")
        yield
        return
    start, done = time.monotonic(), threading.Event()

    def turn():
        for frame in itertools.cycle(FRAMES):
            move(f"{frame} {what} ({time.monotonic() - start:.0f} s)")
            if done.wait(SECONDS_BETWEEN_FRAMES):
                return

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        move("")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings as lines for the reader: without the place in the code, beside the moving line."""

    def show(message, category, filename, lineno, file=None, line=None):
        with _writing:
            shown = _moving
            move("")
            print("warning:", *str(message).split(), file=file or sys.stderr, flush=True)
            move(shown)

    before, warnings.showwarning = warnings.showwarning, show
    try:
        yield
    finally:
        warnings.showwarning = before


def counted(number: int, what: str) -> str:
    """A number of things: "1 image", "8 images"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it: "45 s", "5 min", "2.5 h", "6 days"."""
    for most, length, unit in ((100, 1, "s"), (100, 60, "min"), (100, 3600, "h")):
        number = f"{seconds / length:.{int(unit == 'h')}f}"
        if float(number) < most:
            return f"{number} {unit}"
    return f"{seconds / 86400:.0f} days"
