"""Sampling options and a denoiser, turned into a plan: the steps, the sampler and the network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.guidance import guided, within_interval
from kdiffusion.diffusion.options import SamplingOptions
from kdiffusion.diffusion.prediction import (
    Predict,
    dynamic_threshold,
    predictor,
    static_threshold,
)
from kdiffusion.diffusion.samplers import Sampler, find_sampler
from kdiffusion.diffusion.spacing import timestep_pairs


@dataclass(frozen=True)
class Plan:
    """Options made concrete: the pairs (t, s), the step taken between them, and the network."""

    schedule: NoiseSchedule
    pairs: list[tuple[int, int]]
    sampler: Sampler
    step: Callable
    predict_for: Callable[[np.ndarray], Predict]  # labels [B] -> predict(x, t)


def make_plan(denoiser: Denoiser, options: SamplingOptions, start: int | None = None) -> Plan:
    """The plan that `options` stand for, on this denoiser; `start` is the noisiest timestep."""
    card = denoiser.card
    chosen: Any = options.resolve(card, start)  # what was None is not any more
    sampler = find_sampler(chosen.sampler)
    own = {name: getattr(chosen, name) for name in sampler.options}
    own = {name: value for name, value in own.items() if value is not None}
    pairs = timestep_pairs(card.schedule, chosen.steps, chosen.spacing, start)
    if options.guidance_interval is not None and chosen.guidance_strength != 0:
        _check_interval_is_visited(options.guidance_interval, card.schedule, pairs)
    network = guided(
        denoiser,
        chosen.guidance_strength,
        card.null_label,
        interval=chosen.guidance_interval,
        noise_levels=card.schedule.noise_levels,
        rescale=chosen.guidance_rescale,
    )
    threshold = _threshold(chosen, card.value_range)
    return Plan(
        schedule=card.schedule,
        pairs=pairs,
        sampler=sampler,
        step=functools.partial(sampler.step, **own),
        predict_for=lambda labels: predictor(
            network, labels, card.schedule, card.prediction_type, threshold
        ),
    )


def _threshold(options: SamplingOptions, value_range: tuple[float, float]):
    """The function that keeps x_0 within the range, or None."""
    if options.dynamic_threshold is not None:
        return dynamic_threshold(value_range, options.dynamic_threshold)
    return static_threshold(value_range) if options.clip else None


def _check_interval_is_visited(
    interval: tuple[float, float], schedule: NoiseSchedule, pairs: list[tuple[int, int]]
) -> None:
    """Refuses an interval between two steps: guidance was asked for and would never act."""
    timesteps = [t for t, _ in pairs]
    if not within_interval(schedule.noise_levels, interval)[timesteps].any():
        visited = ", ".join(f"{schedule.noise_levels[t]:.4g}" for t in timesteps)
        raise ValueError(
            "`guidance_interval` must hold at least one of the noise levels that these steps visit "
            f"({visited}). Received: guidance_interval={tuple(interval)}"
        )
