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
    from kdiffusion.runs.run import train
    from kdiffusion.runs.trained_run import Run, load_run

__all__ = ["PRESETS", "PRESET_DOCS", "Config", "Interrupted", "Run", "load_run", "train"]
_HOMES = {
    "Run": "kdiffusion.runs.trained_run",
    "load_run": "kdiffusion.runs.trained_run",
    "train": "kdiffusion.runs.run",
}


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
