"""TensorFlow's import without its start-up notices; what goes wrong is said all the same.

TensorFlow writes to the descriptor of standard error, past Python, and before
`TF_CPP_MIN_LOG_LEVEL` has an effect. So the descriptor leads to a process of its own meanwhile,
which passes on what is worth a reader's time: also the last words of an import that aborts.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import subprocess
import sys
from types import ModuleType

NVIDIA_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")
# "E0000 00:00:1764.1 4709 file.cc:52] text", or "2026-11-25 15:02:42.1: E path/file.cc:52] text".
LOGGED = re.compile(
    r"(?:\d{4}-\d\d-\d\d [\d:.]+: )?(?P<level>[IWEF])(?:\d{4} [\d:.]+ +\d+)? \S+\] "
)
# What begins the second line of a notice.
CONTINUED = (
    "WARNING: All log messages before absl::InitializeLog()",
    "To enable the following instructions",
    "Skipping registering GPU devices",
)
# Two parts of TensorFlow register one thing: on every machine with a GPU, and without effect.
HARMLESS = ("Unable to register cu", "computation placer already registered")


def import_tensorflow() -> ModuleType:
    """The module `tensorflow`, its devices found, and nothing said but what went wrong."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.nullcontext() if "tensorflow" in sys.modules else _filtered(), _uncollected():
        import tensorflow as tf

        # CUDA is not looked for until somebody asks for its devices.
        tf.config.list_physical_devices()
    return tf


def is_worth_reading(line: str, has_gpu: bool) -> bool:
    """Whether a line of TensorFlow's start is kept: an error, or why a GPU is not used.

    Args:
        line: str.
        has_gpu: bool. Whether the machine has a device of NVIDIA's.
    """
    logged = LOGGED.match(line)
    if logged is None:
        return not line.startswith(CONTINUED)
    if logged["level"] == "F":
        return True
    if logged["level"] == "I" or any(words in line for words in HARMLESS):
        return False
    about_gpus = re.search("cuda|gpu|rocm|tensorrt", line, re.IGNORECASE)
    return has_gpu if about_gpus or logged["level"] == "W" else True


@contextlib.contextmanager
def _uncollected():
    """An import makes 400,000 objects that stay: to look for garbage in them is a fifth of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _filtered():
    sys.stderr.flush()
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=reader,
        start_new_session=True,  # Ctrl-C is for the one who imports
    )
    os.close(reader)
    kept = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        # At once, unless the import has left a process that holds the pipe: not to be waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def _pass_on():
    has_gpu = any(os.path.exists(device) for device in NVIDIA_DEVICES)
    for line in sys.stdin.buffer:
        if is_worth_reading(line.decode(errors="replace"), has_gpu):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


if __name__ == "__main__":
    _pass_on()
