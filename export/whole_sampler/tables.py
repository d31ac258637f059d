"""A deterministic sampler as three tables, for graphs that hold the whole loop.

With one evaluation a step, and at most the one before remembered, every step is linear:

    x_0 = clip(from_x x + from_prediction prediction)
    x  <- keep x + towards x_0 + back x_0 of the step before

so one loop over a table draws with any of `GRAPH_SAMPLERS`.
"""

import dataclasses

import numpy as np

from kdiffusion.diffusion.options import SamplingOptions, make_plan
from kdiffusion.diffusion.prediction import Estimate, to_x0_and_eps

GRAPH_SAMPLERS = ("ddim", "dpmpp_2m")


@dataclasses.dataclass(frozen=True)
class SamplerTables:
    """The numbers of a sampling run, a row a step.

    Args:
        sampler: str. One of `GRAPH_SAMPLERS`.
        timesteps: int32 `[steps]`.
        estimate: float32 `[steps, 2]`: from_x, from_prediction.
        step: float32 `[steps, 3]`: keep, towards, back.
    """

    sampler: str
    timesteps: np.ndarray
    estimate: np.ndarray
    step: np.ndarray

    @property
    def description(self):
        """dict: what a file that holds these tables says of them, beside its card."""
        return {"sampler": self.sampler, "steps": len(self.timesteps)}


def sampler_tables(card, sampler, steps, spacing="trailing"):
    """The tables of a sampler under a card's schedule.

    Args:
        card: DenoiserCard.
        sampler: str. One of `GRAPH_SAMPLERS`.
        steps: int, 1 .. T.
        spacing: str. A key of `SPACINGS`. Defaults to `"trailing"`.

    Returns:
        SamplerTables.

    Raises:
        ValueError: another sampler, or options that can't be.
    """
    if sampler not in GRAPH_SAMPLERS:
        raise ValueError(
            f"`sampler` must be one of {', '.join(GRAPH_SAMPLERS)} in a graph: the others draw "
            f"fresh noise or look further back. Received: sampler={sampler!r}"
        )
    options = SamplingOptions(sampler=sampler, steps=steps, spacing=spacing, guidance_strength=0)
    plan = make_plan(None, card, options)
    one = np.eye(3)  # x, x_0 and the x_0 before, each in turn the only one that is not 0
    estimates, rows, history = [], [], ()
    for t, s in plan.pairs:
        alpha_bar = card.schedule.alpha_bar(t)
        # What x alone and the prediction alone contribute to x_0.
        x0, _ = to_x0_and_eps(one[1], one[0], alpha_bar, card.prediction_type)
        estimates.append(x0[:2])
        # The sampler itself is asked: its step is linear, so one look at the basis is the row.
        eps = (one[0] - np.sqrt(alpha_bar) * one[1]) / np.sqrt(1.0 - alpha_bar)
        estimate = Estimate(t, one[0], one[1], eps)
        row, _ = plan.step(
            lambda x, t, now=estimate: now, one[0], t, s, plan.schedule, history, None
        )
        rows.append(row)
        history = (Estimate(t, None, one[2], None),)
    numbers = [np.asarray(values, np.float32) for values in (estimates, rows)]
    return SamplerTables(sampler, np.array([t for t, _ in plan.pairs], np.int32), *numbers)
