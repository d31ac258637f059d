"""A run that is stopped anywhere and resumed is, bit for bit, the run that was never stopped."""

import signal

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from kdiffusion.runs.checkpoints import logs_of
from kdiffusion.runs.run import train
from tests.runs.conftest import last_checkpoint, tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config():
    """Three epochs of six steps and all that a run may have to remember, a loss scale included.

    Checkpoints are due at the steps 8, 16 and 18. There are so few timesteps that long before, the
    draws depend on what the losses have been.
    """
    return tiny(
        model={"dropout": 0.2, "dtype_policy": "mixed_float16"},
        diffusion={"num_timesteps": 60},
        objective={"timestep_sampling": "loss_second_moment"},
        optimizer={"epochs": 3},
        run={"checkpoint_every_steps": 8, "checkpoint_every_epochs": 100, "log_every_steps": 2},
    )


# Stopped by Ctrl-C at the end of an epoch; then killed as it writes a checkpoint, when the epoch
# that the one before lies in is over and logged.
STOPPED_AND_KILLED = """
import functools, os, signal, sys
from kdiffusion.runs import run
from kdiffusion.runs.config import Config
from kdiffusion.runs.interruptions import Interrupted
from kdiffusion.runs.fit import SaveCheckpoint

def stop_and_save(self, batch, logs=None):
    if int(self.model.step.numpy()) == 6 and not resumed:
        os.kill(os.getpid(), signal.SIGINT)
    save(self, batch, logs)

def rename(source, target):
    if str(target).endswith("step_00000016"):
        os.kill(os.getpid(), signal.SIGKILL)
    move(source, target)

run.build_model = functools.cache(run.build_model)  # resuming, it reads every number
save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, stop_and_save
move, os.rename = os.rename, rename
# A shell's background jobs, of which this may be one, ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
for resumed in (False, True):
    try:
        run.train(Config.from_json(sys.argv[1]), sys.argv[2], resume=resumed)
    except Interrupted as stop:
        print(stop, stop.exit_status, flush=True)
"""


@pytest.fixture(scope="module")
def killed(config, tmp_path_factory, run_python):
    """The folder of the run that the script above began, and what it printed."""
    run = tmp_path_factory.mktemp("killed")
    done = run_python("-c", STOPPED_AND_KILLED, config.to_json(), run, status=-signal.SIGKILL)
    assert "Ctrl-C again ends it at once" in done.stderr
    return run, done.stdout


def test_a_signal_at_the_last_step_of_an_epoch_saves_the_epoch(killed):
    """Amid an epoch, test_workers.py sends one."""
    run, printed = killed
    assert "Stopped by Ctrl-C after step 6, which was saved." in printed
    assert "without --overwrite. 130\n" in printed
    assert "val_loss" in logs_of(run / "checkpoints/step_00000006")


def test_a_run_stopped_and_killed_as_it_saves_ends_as_the_whole_one(killed, config, tmp_path):
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
