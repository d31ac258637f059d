"""A deterministic sampler as three tables, for graphs that hold the whole loop.

Without fresh noise, and with at most two steps before remembered, every step is linear:

    x_0 = clip(from_x x + from_prediction prediction)
    state = (x, x_0, then corrected x and x_0 of the step before, and of two before)
    corrected x, next x = two rows of numbers times the state

UniPC corrects x by the evaluation at it; for the others the corrected x is x. So one loop over the
tables draws with any of `GRAPH_SAMPLERS`.
"""

import dataclasses
from typing import Any

import numpy as np

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.guidance import within_interval
from kdiffusion.diffusion.prediction import to_x0_and_eps
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import make_plan
from kdiffusion.diffusion.transition import linear_rows
from kdiffusion.tables import check_name

# Those that add no fresh noise.
GRAPH_SAMPLERS = tuple(name for name, row in SAMPLERS.items() if not row.always_random)


@dataclasses.dataclass(frozen=True)
class SamplerTables:
    """The numbers of a sampling run, a row per step.

    Args:
        options: `SamplingOptions`, nothing of which is left to the card.
        timesteps: int32 `[steps]`.
        guides: float32 `[steps]`: 1 where guidance applies, 0 outside of the card's interval.
        estimate: float32 `[steps, 2]`: from_x, from_prediction.
        corrected: float32 `[steps, 6]`: corrected x of the state.
        step: float32 `[steps, 6]`: the next x of the state.
    """

    options: SamplingOptions
    timesteps: np.ndarray
    guides: np.ndarray
    estimate: np.ndarray
    corrected: np.ndarray
    step: np.ndarray

    @property
    def limits(self) -> tuple[float, float]:
        """What the predicted image is clipped to."""
        return (-1.0, 1.0) if self.options.clip else (-np.inf, np.inf)

    @property
    def description(self) -> dict[str, Any]:
        """dict: what a file that holds these tables says of them, beside its card."""
        return {
            name: getattr(self.options, name)
            for name in ("sampler", "steps", "spacing", "timesteps")
        }


def sampler_tables(card: DenoiserCard, **options: Any) -> SamplerTables:
    """The tables of a sampler under a card's schedule.

    Args:
        card: DenoiserCard.
        **options: sampler, one of `GRAPH_SAMPLERS`, steps, spacing, timesteps, as for
            `export_sampler`. The strength of guidance is an input of the graph.

    Returns:
        SamplerTables.

    Raises:
        ValueError: another sampler, or options that can't be.
    """
    if options.get("sampler") is None and card.sampler not in GRAPH_SAMPLERS:
        options["sampler"] = "unipc"
    unasked: Any = None
    denoiser = NetworkDenoiser(card, unasked)
    plan = make_plan(denoiser, SamplingOptions(**options, guidance_strength=0))
    check_name("sampler", plan.options.sampler, GRAPH_SAMPLERS)
    corrected, rows = linear_rows(plan.step, plan.pairs, card.schedule)
    # What x alone and the prediction alone contribute to x_0.
    x, prediction = np.eye(2)
    estimates = [
        to_x0_and_eps(prediction, x, card.schedule.alpha_bar(t), card.prediction_type)[0]
        for t, _ in plan.pairs
    ]
    timesteps = np.array([t for t, _ in plan.pairs], np.int32)
    guides = within_interval(card.schedule.noise_levels, card.guidance_interval)[timesteps]
    tables = [np.asarray(values, np.float32) for values in (guides, estimates, corrected, rows)]
    return SamplerTables(plan.options, timesteps, *tables)
