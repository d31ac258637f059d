"""Training runs: configuration, presets, strategies, checkpoints, callbacks, and `train` itself.

The configuration can be made and checked without TensorFlow; `train` and `load_run`, which need
it, are loaded when they are first used.
"""

import importlib

from kdiffusion.training.config import Config
from kdiffusion.training.interruptions import Interrupted
from kdiffusion.training.presets import PRESET_DOCS, PRESETS

__all__ = ["PRESETS", "PRESET_DOCS", "Config", "Interrupted", "LoadedRun", "load_run", "train"]


def __getattr__(name):
    if name in ("LoadedRun", "load_run", "train"):
        return getattr(importlib.import_module("kdiffusion.training.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
