"""TensorFlow's import without its start-up notices."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType


def import_tensorflow() -> ModuleType:
    """The module `tensorflow`, with its devices found; its notices show only if that fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # not yet in effect during the import
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
    """Keeps what is written to descriptor 2, past Python too, and shows it if the block fails."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            yield
        except BaseException:
            notices.seek(0)
            os.write(stderr, notices.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
