"""Runs under each strategy that this machine can offer: real devices' worth of processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from kdiffusion.runs.strategy import OneProcessor, make_strategy

ROOT = Path(__file__).parent.parent.parent

TINY = [
    "digits", "--optimizer.epochs", "2", "--optimizer.batch-size", "256",
    "--model.base-channels", "4", "--model.channel-multipliers", "1", "--model.dropout", "0.2",
    "--sampling.steps", "2", "--run.strategy", "mirrored", "--run.deterministic", "--resume",
]  # fmt: skip

TWO_DEVICES = """
import os, signal, sys, tensorflow as tf
from kdiffusion.commands import train
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""

TRAIN = "train.run(sys.argv[1:])"

STOP_AT_STEP_4 = """
from kdiffusion.runs.saving import SaveCheckpoint

def stop(self, batch, logs=None):
    if int(self.model.step.numpy()) == 4:
        os.kill(os.getpid(), signal.SIGTERM)
    save(self, batch, logs)

save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, stop
"""

TRAIN_ONLY = """
from kdiffusion.runs import train as run
command = train.parse(sys.argv[1:])
run(command.config, command.run_dir, resume=command.resume)
"""


def _on_two_devices(script, run, status=0):
    """What a process prints that runs a script on two logical devices and ends with a status."""
    process = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES + script, *TINY, "--run-dir", str(run)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == status, process.stdout[-2000:] + process.stderr[-3000:]
    return process.stdout


def _losses(output):
    return re.findall(r"validation ([0-9.]+)", output)


def test_batches_of_the_processor_are_not_brought_to_it_by_a_thread_that_may_outlast_them():
    strategy = make_strategy("one_device")
    batches = tf.data.Dataset.range(4)
    if isinstance(strategy, OneProcessor):
        assert strategy.experimental_distribute_dataset(batches) is batches


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    return run, _on_two_devices(TRAIN, run)


@pytest.mark.slow
def test_two_devices_train_and_export_as_one(whole):
    run, output = whole
    assert len(_losses(output)) == 2
    assert (run / "export/denoiser.onnx").exists()


@pytest.mark.slow
def test_two_devices_resume_exactly(whole, last_checkpoint, tmp_path):
    _on_two_devices(STOP_AT_STEP_4 + TRAIN, tmp_path, status=75)
    _on_two_devices(TRAIN_ONLY, tmp_path)
    assert last_checkpoint(tmp_path) == last_checkpoint(whole[0])
