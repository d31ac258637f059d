"""A run that is stopped anywhere and resumed is, bit for bit, the run that was never stopped."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from kdiffusion.runs import train
from kdiffusion.runs.checkpoints import verify

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


# Told to stop amid an epoch and at the end of it; then killed as it writes a checkpoint, when the
# epoch that the one before lies in is over and logged.
STOPPED_TWICE_AND_KILLED = """
import os, signal, sys
from kdiffusion.runs import Config, train
from kdiffusion.runs.interruptions import Preempted
from kdiffusion.runs.saving import SaveCheckpoint

def stop_and_save(self, batch, logs=None):
    if int(self.model.step.numpy()) == stop_at:
        os.kill(os.getpid(), signal.SIGTERM)
    save(self, batch, logs)

def rename(source, target):
    if str(target).endswith("step_00000016"):
        os.kill(os.getpid(), signal.SIGKILL)
    move(source, target)

save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, stop_and_save
move, os.rename = os.rename, rename
for stop_at in (5, 6, None):
    try:
        train(Config.from_json(sys.argv[1]), sys.argv[2], resume=True)
    except Preempted as stop:
        print(stop, stop.exit_status, flush=True)
"""


@pytest.fixture(scope="module")
def killed(config, tmp_path_factory):
    """The folder of the run that the script above began, and what the script printed."""
    run = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", STOPPED_TWICE_AND_KILLED, config.to_json(), str(run)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stdout[-1000:] + done.stderr[-2000:]
    return run, done.stdout


def test_sigterm_saves_the_step_or_the_epoch_that_is_under_way(killed):
    run, printed = killed
    for step in (5, 6):
        assert f"after step {step}, which was saved." in printed
    assert printed.count("without --overwrite. 75") == 2
    logs = [verify(run / f"checkpoints/step_{step:08d}")["logs"] for step in (5, 6)]
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


def test_a_command_that_is_told_to_stop_saves_and_says_so(tmp_path):
    """By Ctrl-C; tests/runs/test_workers.py sends SIGTERM."""
    arguments = ["digits", "--optimizer.epochs", "9999", "--model.base-channels", "4"]
    arguments += ["--model.channel-multipliers", "1"]
    options = ["--run.checkpoint-every-steps", "2", "--run-dir", str(tmp_path / "run"), "--resume"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *arguments, *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, of which this may be one, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not list(tmp_path.glob("run/checkpoints/step_????????")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == 130, error
    assert "interrupted: Stopped by Ctrl-C after step" in error
    assert "with --resume" in error
    assert "Traceback" not in error
    step = error.split("after step ")[1].split(",")[0]
    assert verify(tmp_path / f"run/checkpoints/step_{int(step):08d}")
