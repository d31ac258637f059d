"""Kills a training run again and again, and compares its end with that of a run left alone.

    python -m benchmarks.kill_and_resume --kills 50

Each life of the run is a process of its own, killed by SIGKILL: at a random moment, or while a
checkpoint is being written. The same command with --resume starts the next one. At the end every
tensor of the last checkpoint, and the results of its epoch, must be those of the undisturbed run.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro

from kdiffusion.runs.checkpoints import STATE, verify

POLL_SECONDS = 0.0005  # a checkpoint of this size takes some 20 ms to write


def _command(run_dir, epochs, every_steps):
    return [
        sys.executable, "train.py", "digits", "--run-dir", str(run_dir), "--resume",
        "--optimizer.epochs", str(epochs),
        "--run.checkpoint-every-steps", str(every_steps),
        "--run.sample-every-epochs", str(epochs),
    ]  # fmt: skip


def _start(command, log):
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _newest_whole(checkpoints):
    """The step of the newest checkpoint that a resumed run would take; 0 without one."""
    folders = sorted(checkpoints.glob("step_????????"), reverse=True)
    for folder in folders:
        try:
            verify(folder)
            return int(folder.name.removeprefix("step_"))
        except (OSError, ValueError, KeyError):
            continue
    return 0


def _await(condition, process, timeout_seconds):
    """Whether the condition came true before the process or the time ended."""
    end = time.monotonic() + timeout_seconds
    while time.monotonic() < end and process.poll() is None:
        if condition():
            return True
        time.sleep(POLL_SECONDS)
    return False


def _kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _disturb(run_dir, command, log, kills, rng):
    """Lives and deaths of one run; returns what happened."""
    checkpoints = run_dir / "checkpoints"
    names = ("random", "during a write", "before a new checkpoint", "refused", "lost")
    counts = dict.fromkeys(names, 0)
    while counts["random"] + counts["during a write"] < kills:
        before = _newest_whole(checkpoints)
        process = _start(command, log)
        aimed = (counts["random"] + counts["during a write"]) % 2
        if aimed:
            skipped = rng.randrange(3)
            hit = _await(_is_writing_after(checkpoints, before, skipped), process, 300)
        else:
            time.sleep(rng.uniform(0.0, 40.0))
            hit = process.poll() is None
        if not hit:
            process.wait()
            counts["refused"] += process.returncode != 0
            break  # the run has ended: more kills need more epochs
        _kill(process)
        after = _newest_whole(checkpoints)
        counts["during a write" if aimed else "random"] += 1
        counts["before a new checkpoint"] += after == before
        counts["lost"] += after < before
    return counts


def _is_writing_after(checkpoints, step, skipped):
    """A condition: a checkpoint is half written, and `skipped` whole ones came before it."""

    def condition():
        newer = [p for p in checkpoints.glob("step_????????") if int(p.name[5:]) > step]
        return len(newer) >= skipped and any(checkpoints.glob("step_*.partial"))

    return condition


def _compare(one, other):
    """Arrays compared, and the names of those that differ, of two runs' last checkpoints."""
    folders = [max((run / "checkpoints").glob("step_????????")) for run in (one, other)]
    records = [verify(folder) for folder in folders]
    states = [np.load(folder / STATE) for folder in folders]
    names = sorted({*states[0], *states[1]})
    differing = [name for name in names if states[0][name].tobytes() != states[1][name].tobytes()]
    if records[0]["logs"] != records[1]["logs"]:
        differing.append("logs")
    return len(names), differing


def main(
    kills: int = 50,
    epochs: int = 120,
    every_steps: int = 5,
    seed: int = 0,
    keep: bool = False,
):
    """Kills and resumes a run of the digits, and compares its end with an undisturbed one's.

    Args:
        kills: how often, one in two while a checkpoint is written.
        epochs: of the run, 12 steps each.
        every_steps: steps between checkpoints.
        seed: of the moments.
        keep: leave the folder of the two runs behind.
    """
    start = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="kill_and_resume_"))
    alone, disturbed = folder / "alone", folder / "disturbed"
    with open(folder / "output.txt", "w") as log:
        subprocess.run(_command(alone, epochs, every_steps), stdout=log, stderr=log, check=True)
        print(f"Undisturbed: {time.perf_counter() - start:.0f} s", flush=True)
        command = _command(disturbed, epochs, every_steps)
        counts = _disturb(disturbed, command, log, kills, random.Random(seed))
        counts["refused"] += subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    tensors, differing = _compare(alone, disturbed)
    print(json.dumps(counts))
    print(f"{tensors} tensors compared, differing: {differing or 'none'}")
    print(f"{(time.perf_counter() - start) / 60:.1f} minutes in all")
    if not keep:
        shutil.rmtree(folder)
    killed = counts["random"] + counts["during a write"]
    if killed < kills:
        print(f"The run ended after {killed} of {kills} kills: give it more --epochs")
    if differing or counts["refused"] or counts["lost"] or killed < kills:
        sys.exit(1)


if __name__ == "__main__":
    tyro.cli(main)
