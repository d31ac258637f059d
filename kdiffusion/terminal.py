"""What a long command says: lines, and on a terminal what it is doing below them, by tqdm."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator

from tqdm import tqdm


def say(text: str = "") -> None:
    """Prints lines that stay, above any bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def moving_line(text: str = "") -> tqdm:
    """A line at the foot of a terminal, nothing elsewhere; `set_description_str` changes it."""
    return tqdm(desc=text, bar_format="{desc}", leave=False, disable=None)


@contextlib.contextmanager
def working(what: str, line: bool = False) -> Iterator[None]:
    """Shows on a terminal what is being done, such as "loading TensorFlow".

    Args:
        what: str.
        line: bool. Whether to print a line of it elsewhere, as in a log. Defaults to `False`.
    """
    if line and not sys.stderr.isatty():
        say(f"{what} ...")
    with moving_line(f"{what} ..."):
        yield


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings as lines for the reader, without the place in the code."""

    def show(message, category, filename, lineno, file=None, line=None):
        tqdm.write(f"warning: {' '.join(str(message).split())}", file=file or sys.stderr)

    before, warnings.showwarning = warnings.showwarning, show
    try:
        yield
    finally:
        warnings.showwarning = before


def counted(number: int, what: str) -> str:
    """A number of things: "1 image", "8 images"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
