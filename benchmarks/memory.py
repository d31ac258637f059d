"""The resident memory of a training run over time: flat, or it leaks.

    python -m benchmarks.memory --minutes 60

Trains the digits, with validation, previews and checkpoints, and compares the memory after five
minutes, when all is compiled, with that at the end.
"""

import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil
import tyro

WARM_MINUTES = 5
MOST_GROWTH = 0.05
MEBIBYTE = 2**20


def main(minutes: float = 60.0, every_seconds: float = 10.0):
    """Measures, prints a table, and fails where memory grew by more than 5 %.

    Args:
        minutes: length of the run, more than 5.
        every_seconds: between two readings.
    """
    if minutes <= WARM_MINUTES:
        raise ValueError(f"`minutes` must be above {WARM_MINUTES}. Received: {minutes}")
    readings = []
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "train.py", "digits", "--run-dir", folder, "--overwrite",
            "--optimizer.epochs", "1000000", "--run.sample-every-epochs", "20",
            "--run.checkpoint-every-epochs", "5",
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            start, memory = time.monotonic(), psutil.Process(process.pid).memory_info
            while (elapsed := (time.monotonic() - start) / 60) < minutes:
                if process.poll() is not None:
                    raise RuntimeError(f"The run ended by itself, status {process.returncode}")
                readings.append((elapsed, memory().rss / MEBIBYTE))
                time.sleep(every_seconds)
            process.kill()
    times, sizes = np.array(readings).T
    warm = np.median(sizes[(times >= WARM_MINUTES) & (times < WARM_MINUTES + 1)])
    end = np.median(sizes[times >= times[-1] - 1])
    print("| minute | resident MiB |\n|---|---|")
    for minute in np.linspace(WARM_MINUTES, times[-1], 6):
        print(f"| {minute:.0f} | {sizes[np.argmin(np.abs(times - minute))]:.0f} |")
    print(f"Minute {WARM_MINUTES}: {warm:.0f} MiB, the end: {end:.0f} MiB, {end / warm - 1:+.1%}")
    if end > (1 + MOST_GROWTH) * warm:
        sys.exit(1)


if __name__ == "__main__":
    tyro.cli(main)
