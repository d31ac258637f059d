"""What ends a run early, other than its own mistakes; each with the exit status of its process."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


class Interrupted(Exception):
    """A run was ended from outside; `--resume` continues it."""

    cause = "an interruption"
    exit_status = 1


class Preempted(Interrupted):
    """SIGTERM came, as schedulers send it before they take a machine away; the run was saved."""

    cause = "SIGTERM"
    exit_status = 75  # EX_TEMPFAIL of sysexits.h: try again later


class StoppedByUser(Interrupted):
    """Ctrl-C came; the run was saved."""

    cause = "Ctrl-C"
    exit_status = 130  # as shells have it: 128 + SIGINT


class WorkerLost(Interrupted):
    """Another worker of the cluster is gone, and nothing can be computed without it."""

    exit_status = 69  # EX_UNAVAILABLE of sysexits.h


ON_CTRL_C = b"\nCtrl-C: the run is saved and stops. Ctrl-C again ends it at once, unsaved.\n"


@contextlib.contextmanager
def catching_signals() -> Iterator[Callable[[], type[Interrupted] | None]]:
    """Gives a function that tells what came of SIGTERM and SIGINT, instead of dying of it at once.

    It returns `Preempted`, `StoppedByUser` (Ctrl-C), or None; SIGTERM goes before Ctrl-C. A second
    Ctrl-C ends the process at once. A signal that the process ignores stays ignored.

    Python lets the main thread alone handle signals: in any other, they keep their effect.
    """
    came = set()

    def note(number, frame):
        came.add(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            # Not print: the signal may have come amid one, and it can't be entered twice.
            os.write(2, ON_CTRL_C)

    def what_came():
        if signal.SIGTERM in came:
            return Preempted
        return StoppedByUser if signal.SIGINT in came else None

    is_main = threading.current_thread() is threading.main_thread()
    every = (signal.SIGTERM, signal.SIGINT) if is_main else ()
    numbers = [number for number in every if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield what_came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
