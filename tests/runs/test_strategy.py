"""Runs under each strategy that this machine can offer: one device, and two of its processor."""

import re

import pytest

# In one process TensorFlow's collectives would go on counting where another run has stopped.
ON_TWO_DEVICES = """
import sys, tensorflow as tf
from kdiffusion.runs import Config
from kdiffusion.runs.run import train

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
train(Config.from_json(sys.argv[1]), sys.argv[2], resume=True)
"""


@pytest.mark.slow
def test_two_devices_train_and_resume_exactly(
    tiny, as_it_was, last_checkpoint, run_python, tmp_path
):
    every = {"checkpoint_every_steps": 4, "checkpoint_every_epochs": 100}
    run = {"strategy": "mirrored", "deterministic": True, **every}
    config = tiny(model={"dropout": 0.2}, run=run, optimizer={"epochs": 1}).to_json()
    output = run_python("-c", ON_TWO_DEVICES, config, tmp_path / "whole").stdout
    assert len(re.findall(r"validation ([0-9.]+)", output)) == 1
    as_it_was(tmp_path / "whole", tmp_path / "parts", step=4)
    output = run_python("-c", ON_TWO_DEVICES, config, tmp_path / "parts").stdout
    assert "Resuming from step 4 of 6." in output
    assert last_checkpoint(tmp_path / "parts") == last_checkpoint(tmp_path / "whole")
