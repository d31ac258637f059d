"""Runs under each strategy that this machine can offer: one device, and two of its processor."""

import pytest

from tests.runs.conftest import last_checkpoint, tiny

# The whole run, and the same from its fourth step on. Not in the process of the tests, where
# TensorFlow's collectives would go on counting where another strategy has stopped.
ON_TWO_DEVICES = """
import functools, pathlib, sys, tensorflow as tf
from kdiffusion.runs import run, strategy as strategies
from kdiffusion.runs.config import Config
from tests.runs.conftest import as_it_was

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategies.mirrored = functools.cache(strategies.mirrored)  # one, for the same reason
run.build_model = functools.cache(run.build_model)  # resuming, it reads every number
config, folder = Config.from_json(sys.argv[1]), pathlib.Path(sys.argv[2])
run.train(config, folder / "whole")
as_it_was(folder / "whole", folder / "parts", step=4)
run.train(config, folder / "parts", resume=True)
"""


@pytest.mark.slow
def test_two_devices_train_and_resume_exactly(run_python, tmp_path):
    every = {"checkpoint_every_steps": 4, "checkpoint_every_epochs": 100}
    run = {"strategy": "mirrored", "deterministic": True, **every}
    config = tiny(model={"dropout": 0.2}, run=run, optimizer={"epochs": 1}).to_json()
    output = run_python("-c", ON_TWO_DEVICES, config, tmp_path).stdout
    assert "2 replicas" in output
    assert "Resuming from step 4 of 6." in output
    assert last_checkpoint(tmp_path / "parts") == last_checkpoint(tmp_path / "whole")
