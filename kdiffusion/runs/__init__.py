"""Training runs: configuration, presets, strategies, checkpoints, callbacks, and `train` itself.

The configuration can be made and checked without TensorFlow; `train`, which needs it, is loaded
when it is first used.
"""

from typing import TYPE_CHECKING

from kdiffusion.runs.config import Config
from kdiffusion.runs.interruptions import Interrupted
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS

if TYPE_CHECKING:
    from kdiffusion.runs.run import train

__all__ = ["PRESETS", "PRESET_DOCS", "Config", "Interrupted", "train"]


def __getattr__(name):
    if name == "train":
        from kdiffusion.runs.run import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
