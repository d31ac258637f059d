"""Kills a training run again and again, and compares its end with that of a run left alone.

    python -m benchmarks.kill_and_resume --kills 50

Every process of the run is killed by SIGKILL, half of them at a random moment and half while a
checkpoint is being written. The same command with --resume starts the next one. At the end every
tensor of the last checkpoint, and its epoch's results, must be those of the undisturbed run.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tyro

from kdiffusion.runs.checkpoints import DAMAGE, logs_of, newest_first, read_state


def _command(run_dir, epochs):
    return [
        sys.executable, "train.py", "digits", "--run-dir", str(run_dir), "--resume",
        "--optimizer.epochs", str(epochs), "--run.checkpoint-every-steps", "5",
        "--run.sample-every-epochs", str(epochs),
    ]  # fmt: skip


def _newest_whole(checkpoints):
    """The step of the newest checkpoint that a resumed run would take; 0 without one."""
    for folder in newest_first(checkpoints):
        try:
            read_state(folder)
            return int(folder.name.removeprefix("step_"))
        except DAMAGE:
            continue
    return 0


def _wait_for_a_write(process, checkpoints, skipped):
    """Until a checkpoint is half written, after `skipped` others; or the process has ended."""
    seen = set()
    while process.poll() is None and len(seen) <= skipped:
        seen.update(checkpoints.glob("*.partial"))
        time.sleep(0.0005)  # a checkpoint of this size takes some 20 ms to write


def _kill_often(run_dir, command, log, kills, rng):
    """Kills the run so many times; returns how many whole checkpoints were lost."""
    lost, checkpoints = 0, run_dir / "checkpoints"
    for number in range(kills):
        before = _newest_whole(checkpoints)
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        if number % 2:
            _wait_for_a_write(process, checkpoints, rng.randrange(3))
        else:
            time.sleep(rng.uniform(0.0, 40.0))
        if process.poll() is not None:
            sys.exit(f"The run ended by itself after {number} kills: give it more --epochs")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        lost += _newest_whole(checkpoints) < before
    return lost


def _differences(one, other):
    """(tensors compared, names of what differs) of two runs' last checkpoints."""
    folders = [newest_first(run / "checkpoints")[0] for run in (one, other)]
    logs = [logs_of(folder) for folder in folders]
    states = [read_state(folder) for folder in folders]
    names = set(states[0]) | set(states[1])
    differing = [
        name
        for name in sorted(names)
        if any(name not in state for state in states)
        or states[0][name].tobytes() != states[1][name].tobytes()
    ]
    differing += ["results"] if logs[0] != logs[1] else []
    return len(names), differing


def main(kills: int = 50, epochs: int = 120, seed: int = 0):
    """Kills and resumes a run of the digits, and compares its end with an undisturbed one's.

    Args:
        kills: how often.
        epochs: of the run, 12 steps each.
        seed: of the moments.
    """
    with tempfile.TemporaryDirectory() as folder:
        alone, disturbed = Path(folder, "alone"), Path(folder, "disturbed")
        with open(Path(folder, "output.txt"), "w") as log:
            subprocess.run(_command(alone, epochs), stdout=log, stderr=log, check=True)
            command = _command(disturbed, epochs)
            lost = _kill_often(disturbed, command, log, kills, random.Random(seed))
            subprocess.run(command, stdout=log, stderr=log, check=True)
        tensors, differing = _differences(alone, disturbed)
    print(f"{kills} kills, {lost} whole checkpoints lost")
    print(f"{tensors} tensors compared, differing: {', '.join(differing) or 'none'}")
    sys.exit(bool(differing or lost))


if __name__ == "__main__":
    tyro.cli(main)
