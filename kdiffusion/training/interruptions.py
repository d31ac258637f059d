"""What ends a run early, other than its own mistakes; each with the exit status of its process."""

import contextlib
import signal
import threading


class Interrupted(Exception):
    """A run was ended from outside and can go on by `--resume`."""

    exit_status = 1


class Preempted(Interrupted):
    """SIGTERM came, as schedulers send it before they take a machine away; the run was saved."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h: try again later


class WorkerLost(Interrupted):
    """Another worker of the cluster is gone, and nothing can be computed without it."""

    exit_status = 69  # EX_UNAVAILABLE of sysexits.h


@contextlib.contextmanager
def catching_sigterm():
    """Gives a function that tells whether SIGTERM has come, instead of dying of it at once.

    Python lets the main thread alone handle signals: in any other, SIGTERM keeps its effect.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
