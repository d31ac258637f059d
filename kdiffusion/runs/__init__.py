"""Training runs: configuration, presets, strategies, checkpoints, callbacks, and `run.train`.

The configuration can be made and checked without TensorFlow, which `run` needs.
"""

from kdiffusion.runs.config import Config
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS

__all__ = ["PRESETS", "PRESET_DOCS", "Config"]
