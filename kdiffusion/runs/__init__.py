"""Training runs: configuration, presets, strategies, checkpoints, callbacks, and `train` itself.

The configuration can be made and checked without TensorFlow; `train` and `load_run`, which need
it, are loaded when they are first used.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from kdiffusion.runs.config import Config
from kdiffusion.runs.interruptions import Interrupted
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS

if TYPE_CHECKING:
    from kdiffusion.runs.build import Run, load_run
    from kdiffusion.runs.run import train

__all__ = ["PRESETS", "PRESET_DOCS", "Config", "Interrupted", "Run", "load_run", "train"]
_MODULES = {"Run": "build", "load_run": "build", "train": "run"}


def __getattr__(name):
    if name in _MODULES:
        return resolve_name(f"kdiffusion.runs.{_MODULES[name]}:{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
