"""What a process owes to the one that started it: to end when that one does."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Lets this process end when the one that started it has, also by a signal.

    So a command that is killed leaves none of its processes behind: they would go on to write.
    """
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end():
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
