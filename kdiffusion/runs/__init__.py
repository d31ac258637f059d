"""Training runs: configuration, presets, strategies, checkpoints, callbacks, and `run.train`.

The configuration can be made and checked without TensorFlow, which `run` needs.
"""
