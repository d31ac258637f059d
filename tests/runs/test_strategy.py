"""Runs under each strategy that this machine can offer: one device, and two of its processor."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from kdiffusion.runs.strategy import OneProcessor, one_device

ROOT = Path(__file__).parent.parent.parent

TINY = [
    "digits", "--optimizer.epochs", "2", "--optimizer.batch-size", "256", "--optimizer.name",
    "adamw", "--model.base-channels", "4", "--model.channel-multipliers", "1", "--model.dropout",
    "0.2", "--model.dtype-policy", "float32", "--sampling.steps", "2", "--run.sample-every-epochs",
    "100", "--run.strategy", "mirrored", "--run.deterministic",
]  # fmt: skip

# Trains on two logical devices: a whole run, and a part of one, or the rest of it. In one process
# TensorFlow's collectives would go on counting where another run has stopped.
ON_TWO_DEVICES = """
import functools, os, signal, sys, tensorflow as tf
from kdiffusion.commands.train import parse
from kdiffusion.runs import run, strategy
from kdiffusion.runs.interruptions import Preempted
from kdiffusion.runs.saving import SaveCheckpoint

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy.mirrored = functools.cache(strategy.mirrored)
name, folder, *arguments = sys.argv[1:]
config = parse(arguments).config

def stop(self, batch, logs=None):
    if int(self.model.step.numpy()) == 4:
        os.kill(os.getpid(), signal.SIGTERM)
    save(self, batch, logs)

if name == "rest":
    run.train(config, f"{folder}/parts", resume=True)
else:
    run.train(config, f"{folder}/whole")
    save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, stop
    try:
        run.train(config, f"{folder}/parts")
    except Preempted as end:
        print(end)
"""


def _on_two_devices(name, folder):
    """What a process prints that trains what the script above has under that name."""
    process = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES, name, str(folder), *TINY],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-3000:]
    return process.stdout


def test_batches_of_the_processor_are_not_brought_to_it_by_a_thread_that_may_outlast_them():
    strategy = one_device()
    batches = tf.data.Dataset.range(4)
    if isinstance(strategy, OneProcessor):
        assert strategy.experimental_distribute_dataset(batches) is batches


@pytest.mark.slow
def test_two_devices_train_and_resume_exactly(last_checkpoint, tmp_path):
    output = _on_two_devices("whole and part", tmp_path)
    assert len(re.findall(r"validation ([0-9.]+)", output)) == 2
    assert "Stopped by SIGTERM after step 4" in output
    _on_two_devices("rest", tmp_path)
    assert last_checkpoint(tmp_path / "parts") == last_checkpoint(tmp_path / "whole")
