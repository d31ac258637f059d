"""What an objective hands to the training step, for each step of the optimizer."""

from collections.abc import Callable
from typing import Any, NamedTuple


class OptimizerStep(NamedTuple):
    """What one step of the optimizer learns from; B examples.

    Attributes:
        losses: function of (network, *batch) that gives float32 `[B]`.
        batch: tensors `[B, ...]`, or dicts of them. They may be computed in several pieces.
        timesteps: int `[B]`, by which the losses are logged.
        dropout_seed: int32 `[2]`.
        counts: float32 `[B]` or 1. What each loss counts in the mean.
        after: function of the losses, called when the step is done.
    """

    losses: Callable[..., Any]
    batch: tuple[Any, ...]
    timesteps: Any
    dropout_seed: Any
    counts: Any = 1.0
    after: Callable[[Any], None] = lambda losses: None
