"""The tables of what is chosen by name and needs Keras or TensorFlow: name ► "module:function".

A row is loaded when it is chosen, so that the command line and a configuration know the names where
neither is installed. A new optimizer, shape or strategy is a function and a row. Networks
are in `kdiffusion.artifacts.network_description`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

# Each takes an `OptimizerConfig` and a learning-rate schedule.
OPTIMIZERS = {
    "adamw": "kdiffusion.runs.optimizers:adamw",
    "muon": "kdiffusion.runs.optimizers:muon",
}

# Each takes an `OptimizerConfig` and the steps of the whole run.
LEARNING_RATE_SHAPES = {
    "cosine": "kdiffusion.runs.optimizers:cosine",
    "trapezoid": "kdiffusion.runs.optimizers:trapezoid",
}

# Each is a class of `DiffusionModel` that learns from another, its teacher.
STUDENTS = {
    "trajectory": "kdiffusion.training.distillation:StudentModel",
    "consistency": "kdiffusion.training.consistency:ConsistencyModel",
}

# Each makes a `tf.distribute.Strategy` of the devices that are there.
STRATEGIES = {
    "auto": "kdiffusion.runs.strategy:auto",
    "one_device": "kdiffusion.runs.strategy:one_device",
    "mirrored": "kdiffusion.runs.strategy:mirrored",
    "multi_worker": "kdiffusion.runs.strategy:multi_worker",
    "tpu": "kdiffusion.runs.strategy:tpu",
}


def find(name: str, table: Mapping[str, str]) -> Any:
    """The function or the class of a row; a `Config` has checked the name."""
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
