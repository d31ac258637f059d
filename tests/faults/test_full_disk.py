"""A disk that fills up while a checkpoint is written: said in a line, and nothing lost."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.commands import train as command
from kdiffusion.runs import load_run, train

ROOT = Path(__file__).parent.parent.parent
# No file may grow beyond it, which every write meets as it would a full disk. The first is enough
# for config.json and TensorBoard's events, but not for a checkpoint of this network; the second for
# config.json alone.
NO_CHECKPOINT, NO_EVENTS = 400_000, 8_000


def _arguments(epochs, run_dir):
    return [
        "digits", "--model.base-channels", "16", "--model.channel-multipliers", "1",
        "--optimizer.batch-size", "512", "--sampling.steps", "2", "--run.sample-every-epochs",
        "100", "--optimizer.epochs", str(epochs), "--run-dir", str(run_dir), "--resume",
    ]  # fmt: skip


def _train_with(most_bytes, arguments):
    """The last line that the command prints when no file may be larger."""
    full = subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )  # fmt: skip
    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    return full.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_last_checkpoint_loads(tmp_path):
    train(command.parse(_arguments(1, tmp_path)).config, tmp_path)
    arguments = _arguments(2, tmp_path)
    begun = _arguments(2, tmp_path / "another")  # the graph is written as a run begins
    for most_bytes, what, which in (
        (NO_EVENTS, "tensorboard", begun),
        (NO_CHECKPOINT, "step_00000006.partial", arguments),
    ):
        last = _train_with(most_bytes, which)
        assert last.startswith("error: ")
        assert f"{what} could not be written" in last
    assert load_run(tmp_path).card.images_seen == 3 * 512
    run = train(command.parse(arguments).config, tmp_path, resume=True)
    assert run.card.images_seen == 6 * 512
