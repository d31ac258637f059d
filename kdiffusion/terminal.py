"""What a long command says: lines, and on a terminal what it is doing below them, by tqdm.

And what it doesn't: the notices of TensorFlow's start.
"""

import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

from tqdm import tqdm


def say(text: str = "") -> None:
    """Prints lines that stay, above any bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


@contextlib.contextmanager
def working(what: str, line: bool = False) -> Iterator[None]:
    """Shows on a terminal what is being done, such as "loading TensorFlow".

    Args:
        what: str.
        line: bool. Whether to print a line of it elsewhere, as in a log. Defaults to `False`.
    """
    if line and not sys.stderr.isatty():
        say(f"{what} ...")
    # A line at the foot of a terminal, nothing elsewhere.
    with tqdm(desc=f"{what} ...", bar_format="{desc}", leave=False, disable=None):
        yield


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings as lines for the reader, without the place in the code."""

    def show(message, category, filename, lineno, file=None, line=None):
        tqdm.write(f"warning: {' '.join(str(message).split())}", file=file or sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def counted(number: int, what: str) -> str:
    """A number of things: "1 image", "8 images"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def import_tensorflow() -> ModuleType:
    """The module `tensorflow`, with its devices found and without its notices."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # not yet in effect during the import
    # By itself TensorFlow uses oneDNN only with VNNI or the like; it trains faster with AVX2, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # How many operations run at once: on two cores, training with four is some 7 % faster than with
    # TensorFlow's two.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(max(4, os.cpu_count() or 4)))
    gc.disable()  # the import makes 400,000 objects that stay; collecting takes a fifth of it
    try:
        with contextlib.nullcontext() if "tensorflow" in sys.modules else _stderr_set_aside():
            import tensorflow as tf

            # CUDA is not looked for until somebody asks for its devices.
            tf.config.list_physical_devices()
    finally:
        gc.enable()
    return tf


@contextlib.contextmanager
def _stderr_set_aside() -> Iterator[None]:
    """Drops what is written to descriptor 2, past Python too."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
