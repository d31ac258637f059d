"""One command's work in several processes of this machine, each with a GPU of its own."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import threading
from collections.abc import Callable

from tqdm import tqdm

from kdiffusion.parent_process import end_with_parent

from .command_line import reporting_errors

GPUS = "CUDA_VISIBLE_DEVICES"
SECONDS_BETWEEN_LOOKS = 0.5


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them; none is fine."""
    if GPUS in os.environ:
        names = [name.strip() for name in os.environ[GPUS].split(",")]
        # CUDA passes over all that comes after a number that is none, such as -1.
        end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
        return names[:end]
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return done.stdout.split()


def run_in_processes(
    work: Callable[[int], object], count: int, watch: Callable[[], object]
) -> list[int]:
    """Calls `work(number)` in `count` new processes, and waits until all have ended.

    Process i sees the i-th GPU alone, beginning anew where there are fewer GPUs than processes, and
    none where there is none.

    Args:
        work: function of the process's number, from 0 on, that can be pickled.
        count: int, at least 1.
        watch: function that is called now and then meanwhile, such as to move a bar.

    Returns:
        list of `count` exit statuses; one below 0 is the signal that ended a process.
    """
    gpus = visible_gpus()
    # A fork would take over the threads of a runtime in a state that nobody knows.
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(
            target=_run, args=(work, number, gpus[number % len(gpus)] if gpus else None)
        )
        for number in range(count)
    ]
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes):
            living = [process.sentinel for process in processes if process.is_alive()]
            multiprocessing.connection.wait(living, SECONDS_BETWEEN_LOOKS)
            watch()
    finally:
        living = [process for process in processes if process.is_alive()]
        for process in living:  # all, before the first is waited for
            process.terminate()
        for process in living:
            process.join()
    return [process.exitcode or 0 for process in processes]  # none is None: all have ended


def _run(work, number, gpu):
    end_with_parent()
    # A terminal sends Ctrl-C to all processes. The parent says so, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The bar's own lock is shared among processes, and left behind by one that is ended.
    tqdm.set_lock(threading.RLock())
    if gpu is not None:
        os.environ[GPUS] = gpu  # before any runtime is imported
    with reporting_errors():
        work(number)
