"""Training runs: configuration, presets, strategies, checkpoints, callbacks, and `train` itself.

The configuration can be made and checked without TensorFlow; `train` and `load_run`, which need
it, are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING

from kdiffusion.runs.config import Config
from kdiffusion.runs.interruptions import Interrupted
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS

if TYPE_CHECKING:
    from kdiffusion.runs.run import Run, load_run, train

__all__ = ["PRESETS", "PRESET_DOCS", "Config", "Interrupted", "Run", "load_run", "train"]


def __getattr__(name):
    if name in ("Run", "load_run", "train"):
        return getattr(importlib.import_module("kdiffusion.runs.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
