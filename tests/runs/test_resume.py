"""A run that is stopped anywhere and resumed is, bit for bit, the run that was never stopped."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from kdiffusion.runs import train
from kdiffusion.runs.checkpoints import logs_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def config(tiny):
    """Three epochs of six steps and all that a run may have to remember, a loss scale included.

    Checkpoints are due at the steps 8, 16 and 18. There are so few timesteps that long before, the
    draws depend on what the losses have been.
    """
    return tiny(
        model={"dropout": 0.2, "dtype_policy": "mixed_float16"},
        diffusion={"timestep_sampling": "loss_second_moment", "num_timesteps": 60},
        optimizer={"epochs": 3},
        run={"checkpoint_every_steps": 8, "checkpoint_every_epochs": 100, "log_every_steps": 2},
    )


# Stopped by Ctrl-C amid an epoch and by SIGTERM at the end of it; then killed as it writes a
# checkpoint, when the epoch that the one before lies in is over and logged.
STOPPED_TWICE_AND_KILLED = """
import os, signal, sys
from kdiffusion.runs import Config, train
from kdiffusion.runs.interruptions import Interrupted
from kdiffusion.runs.saving import SaveCheckpoint

def stop_and_save(self, batch, logs=None):
    if int(self.model.step.numpy()) == stop_at:
        os.kill(os.getpid(), number)
    save(self, batch, logs)

def rename(source, target):
    if str(target).endswith("step_00000016"):
        os.kill(os.getpid(), signal.SIGKILL)
    move(source, target)

save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, stop_and_save
move, os.rename = os.rename, rename
# A shell's background jobs, of which this may be one, ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
for stop_at, number in ((5, signal.SIGINT), (6, signal.SIGTERM), (None, None)):
    try:
        train(Config.from_json(sys.argv[1]), sys.argv[2], resume=True)
    except Interrupted as stop:
        print(stop, stop.exit_status, flush=True)
"""


@pytest.fixture(scope="module")
def killed(config, tmp_path_factory):
    """The folder of the run that the script above began, and what it printed."""
    run = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", STOPPED_TWICE_AND_KILLED, config.to_json(), str(run)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stdout[-1000:] + done.stderr[-2000:]
    assert "Ctrl-C again ends it at once" in done.stderr
    return run, done.stdout


def test_a_signal_saves_the_step_or_the_epoch_that_is_under_way(killed):
    run, printed = killed
    for cause, step in (("Ctrl-C", 5), ("SIGTERM", 6)):
        assert f"Stopped by {cause} after step {step}, which was saved." in printed
    for status in (130, 75):
        assert f"without --overwrite. {status}\n" in printed
    logs = [logs_of(run / f"checkpoints/step_{step:08d}") for step in (5, 6)]
    assert ["val_loss" in each for each in logs] == [False, True]


def test_a_run_stopped_twice_and_killed_as_it_saves_ends_as_the_whole_one(
    killed, config, last_checkpoint, tmp_path
):
    run, _ = killed
    assert (run / "checkpoints/step_00000016.partial").exists()
    names = sorted(path.name for path in run.glob("checkpoints/step_????????"))
    assert names[-1] == "step_00000008"
    train(config, run, resume=True)
    train(config, tmp_path)
    assert last_checkpoint(run) == last_checkpoint(tmp_path)
    assert not list(run.rglob("*.partial"))
    # TensorBoard shows what was done twice once.
    events = EventAccumulator(str(run / "tensorboard/train"), {"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("epoch/loss")] == [6, 12, 18]
    assert [event.step for event in events.Tensors("batch/loss")] == [*range(2, 20, 2)]
