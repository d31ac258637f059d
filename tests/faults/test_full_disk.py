"""A disk that fills up while a checkpoint is written: said in a line, and nothing lost."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import train as command
from kdiffusion.training import load_run, train

ROOT = Path(__file__).parent.parent.parent
# Large enough for config.json and TensorBoard's events, too small for a checkpoint of this network.
MOST_BYTES = 400_000


def _arguments(epochs, run_dir):
    return [
        "digits", "--model.base-channels", "16", "--model.channel-multipliers", "1",
        "--optimizer.batch-size", "512", "--sampling.steps", "2", "--run.sample-every-epochs",
        "100", "--optimizer.epochs", str(epochs), "--run-dir", str(run_dir), "--resume",
    ]  # fmt: skip


def _limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_last_checkpoint_loads(tmp_path):
    """No file may grow beyond a limit, which every write meets as it would a full disk."""
    train(command.parse(_arguments(1, tmp_path)).config, tmp_path)
    arguments = _arguments(2, tmp_path)
    full = subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=_limit,
    )  # fmt: skip
    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    last = full.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "step_00000006.partial could not be written" in last
    assert load_run(tmp_path).card.images_seen == 3 * 512
    run = train(command.parse(arguments).config, tmp_path, resume=True)
    assert run.card.images_seen == 6 * 512
