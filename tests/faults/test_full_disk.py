"""A disk that fills up while a checkpoint is written: the last one stays, and the run goes on."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.commands import train as command
from kdiffusion.runs import load_run, train

ROOT = Path(__file__).parent.parent.parent
# No file may grow beyond it, which every write meets as it would a full disk. Enough for
# config.json and TensorBoard's events, but not for a checkpoint of this network.
MOST_BYTES = 400_000
SCRIPT = """import sys
from kdiffusion.commands import train
from kdiffusion.runs import train as run
command = train.parse(sys.argv[1:])
run(command.config, command.run_dir, resume=True)
"""


def _arguments(epochs, run_dir):
    return [
        "digits", "--model.base-channels", "16", "--model.channel-multipliers", "1",
        "--optimizer.batch-size", "512", "--sampling.steps", "2", "--run.sample-every-epochs",
        "100", "--optimizer.epochs", str(epochs), "--run-dir", str(run_dir), "--resume",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    train(command.parse(_arguments(1, tmp_path)).config, tmp_path)
    full = subprocess.run(
        [sys.executable, "-c", SCRIPT, *_arguments(2, tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES)),
    )  # fmt: skip
    assert full.returncode != 0
    assert load_run(tmp_path).card.images_seen == 3 * 512
    run = train(command.parse(_arguments(2, tmp_path)).config, tmp_path, resume=True)
    assert run.card.images_seen == 6 * 512
