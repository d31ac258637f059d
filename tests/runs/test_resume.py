"""A run that is stopped anywhere and resumed is, bit for bit, the run that was never stopped."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from kdiffusion.runs import train
from kdiffusion.runs.checkpoints import verify
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.runs.saving import SaveCheckpoint

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def config(tiny):
    """Two epochs of six steps; checkpoints at the steps 4, 6, 8, 12; by dtype policy."""
    # So few timesteps that by step 4 the draws depend on what the losses have been.
    learnt = {"timestep_sampling": "loss_second_moment", "num_timesteps": 60}

    def make(policy="mixed_bfloat16"):
        return tiny(
            model={"dropout": 0.2, "dtype_policy": policy},
            diffusion=learnt,
            run={"checkpoint_every_steps": 4},
        )

    return make


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    train(config(), run)
    return run


def _kill(step, config, run, monkeypatch, resume=False):
    """Trains up to a step, and ends when what is due at it is saved."""

    def save_and_die(self, batch, logs=None):
        save(self, batch, logs)
        if int(self.model.step.numpy()) == step:
            raise Killed

    save = SaveCheckpoint.on_train_batch_end
    with monkeypatch.context() as patch:
        patch.setattr(SaveCheckpoint, "on_train_batch_end", save_and_die)
        with pytest.raises(Killed):
            train(config, run, resume=resume)


def _newest(run):
    return max(path.name for path in (run / "checkpoints").glob("step_*"))


def test_a_run_killed_twice_amid_epochs_ends_as_the_whole_one(
    whole, config, last_checkpoint, tmp_path, monkeypatch
):
    _kill(5, config(), tmp_path, monkeypatch)
    assert _newest(tmp_path) == "step_00000004"
    _kill(10, config(), tmp_path, monkeypatch, resume=True)
    assert _newest(tmp_path) == "step_00000008"
    train(config(), tmp_path, resume=True)
    assert last_checkpoint(tmp_path) == last_checkpoint(whole)


def test_tensorboard_shows_a_run_that_was_killed_as_one_that_was_not(tiny, tmp_path, monkeypatch):
    """Killed after its second epoch, the run goes on from amid that one."""
    config = tiny(
        optimizer={"epochs": 3},
        run={"checkpoint_every_steps": 10, "checkpoint_every_epochs": 9, "log_every_steps": 2},
    )
    _kill(15, config, tmp_path, monkeypatch)
    assert _newest(tmp_path) == "step_00000010"
    train(config, tmp_path, resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard/train"), {"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("epoch/loss")] == [6, 12, 18]
    assert [event.step for event in events.Tensors("batch/loss")] == [*range(2, 20, 2)]


def test_float16_resumes_with_its_loss_scale_and_moments(
    config, last_checkpoint, tmp_path, monkeypatch
):
    config = config("mixed_float16")
    _kill(5, config, tmp_path / "killed", monkeypatch)
    train(config, tmp_path / "killed", resume=True)
    train(config, tmp_path / "whole")
    assert last_checkpoint(tmp_path / "killed") == last_checkpoint(tmp_path / "whole")


STOPPED = """
import os, signal, sys
from kdiffusion.runs import Config, train
from kdiffusion.runs.interruptions import Preempted
from kdiffusion.runs.saving import SaveCheckpoint

def stop_and_save(self, batch, logs=None):
    if int(self.model.step.numpy()) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGTERM)
    save(self, batch, logs)

save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, stop_and_save
try:
    train(Config.from_json(sys.argv[1]), sys.argv[2])
except Preempted as stop:
    print(stop)
    sys.exit(stop.exit_status)
"""


@pytest.mark.parametrize("step", [5, 6])
def test_sigterm_saves_the_step_or_the_epoch_that_is_under_way(
    whole, config, last_checkpoint, tmp_path, step
):
    config = config()
    run = tmp_path / "stopped"
    command = [sys.executable, "-c", STOPPED, config.to_json(), str(run), str(step)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 75, done.stdout[-1000:] + done.stderr[-2000:]
    assert f"after step {step}" in done.stdout
    assert _newest(run) == f"step_{step:08d}"
    if step == 6:
        assert "val_loss" in verify(run / "checkpoints/step_00000006")["logs"]
    else:
        train(config, run, resume=True)
        assert last_checkpoint(run) == last_checkpoint(whole)


def test_what_is_due_at_the_last_step_of_an_epoch_is_saved_with_the_epoch(tiny, tmp_path):
    every = {"checkpoint_every_steps": 3, "checkpoint_every_epochs": 100}
    train(tiny(run={**every, "checkpoints_to_keep": 100}), tmp_path)
    saved = {path.name[-2:]: verify(path)["logs"] for path in tmp_path.glob("checkpoints/step_*")}
    assert sorted(saved) == ["03", "06", "09", "12"]
    assert "val_loss" in saved["06"]


KILLED_AS_IT_WRITES = """
import os, signal, sys
from kdiffusion.runs import Config, checkpoints, train

def rename(source, target):
    if str(target).endswith("step_00000008"):
        os.kill(os.getpid(), signal.SIGKILL)
    move(source, target)

move, os.rename = os.rename, rename
train(Config.from_json(sys.argv[1]), sys.argv[2])
"""


def test_a_process_killed_as_it_writes_a_checkpoint_goes_on_from_the_one_before(
    whole, config, last_checkpoint, tmp_path
):
    command = [sys.executable, "-c", KILLED_AS_IT_WRITES, config().to_json(), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert (tmp_path / "checkpoints/step_00000008.partial").exists()
    assert _newest(tmp_path) == "step_00000008.partial"
    train(config(), tmp_path, resume=True)
    assert last_checkpoint(tmp_path) == last_checkpoint(whole)
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("number", "cause", "status"), [(signal.SIGTERM, "SIGTERM", 75), (signal.SIGINT, "Ctrl-C", 130)]
)
def test_a_command_that_is_told_to_stop_saves_and_says_so(tmp_path, number, cause, status):
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
    process.send_signal(number)
    error = process.communicate()[1]
    assert process.returncode == status, error
    assert f"interrupted: Stopped by {cause} after step" in error
    assert "by the same command with --resume" in error
    assert "Traceback" not in error
    step = error.split("after step ")[1].split(",")[0]
    assert verify(tmp_path / f"run/checkpoints/step_{int(step):08d}")


def test_a_run_whose_classes_were_renamed_does_not_go_on(tiny, tmp_path):
    """Sorted, the names are the labels: cat, dog become dog, zebra."""
    images = tmp_path / "images"
    for name in ("cat", "dog"):
        (images / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), 30 * number).save(images / name / f"{number}.png")
    data = {"name": "folder", "directory": str(images), "image_size": 8}
    config = tiny(data=data, optimizer={"batch_size": 4})
    train(config, tmp_path / "run")
    (images / "cat").rename(images / "zebra")
    with pytest.raises(ValueError, match=r"class_names was .'cat', 'dog'., is .'dog', 'zebra'"):
        train(config, tmp_path / "run", resume=True)
    assert RunDirectory.read(tmp_path / "run").class_names == ("cat", "dog")
