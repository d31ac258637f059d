"""The band that the loss of a run stays in, and the step at which it left it."""

from __future__ import annotations

from typing import Any

WIDTH = 3.0
# Steps over which the loss is averaged for the band's floor: one batch may be an easy one.
SMOOTHING_STEPS = 20


class LossBand:
    """Up to three times the lowest that the loss, averaged over some 20 steps, has been.

    The loss of a step is that of the weights before it. So weights are known to be good only when
    the step after them stayed in the band. Where only the mean of several steps is known, it
    counts as the loss of the first.

    Args:
        lowest: float or None. The lowest average so far.
        average: float or None. The average over the steps in the band.
        left_at: int or None. The first step beyond the band, if the last one was beyond it.
    """

    def __init__(
        self, lowest: float | None = None, average: float | None = None, left_at: int | None = None
    ):
        self.lowest, self.average, self.left_at = lowest, average, left_at

    @property
    def limit(self) -> float | None:
        """The loss beyond which a step is out of the band; None before the first step."""
        return None if self.lowest is None else WIDTH * self.lowest

    def update(self, step: int, loss: float) -> None:
        """Takes the loss of a step, a finite float."""
        if self.lowest is None or self.average is None:
            self.lowest = self.average = loss
        if loss > WIDTH * self.lowest:
            self.left_at = step if self.left_at is None else self.left_at
            return
        self.left_at = None
        self.average += (loss - self.average) / SMOOTHING_STEPS
        self.lowest = min(self.lowest, self.average)

    def last_good_step(self, step: int) -> int:
        """The newest step whose weights are known to be good, from a step that is not.

        Args:
            step: int. The first step without a finite loss, should none have left the band before.
        """
        return (step if self.left_at is None else self.left_at) - 2

    def to_record(self) -> dict[str, Any]:
        """The arguments of this object, for JSON."""
        return {"lowest": self.lowest, "average": self.average, "left_at": self.left_at}
