"""What a user may choose when sampling, checked against a card and turned into a plan."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np

from kdiffusion.checks import check_number
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.guidance import check_strength, guided, within_interval
from kdiffusion.diffusion.prediction import Predict, predictor
from kdiffusion.diffusion.samplers import SAMPLERS, Sampler, find_sampler
from kdiffusion.diffusion.schedules import NoiseSchedule, check_variance
from kdiffusion.diffusion.spacing import timestep_pairs
from kdiffusion.diffusion.thresholding import dynamic_threshold, static_threshold


class StepChoices(TypedDict, total=False):
    """Those fields of `SamplingOptions` for which no function has a default of its own."""

    steps: int | None
    spacing: str | None
    guidance_interval: tuple[float, float] | None
    guidance_rescale: float
    eta: float | None
    variance: str | None
    dynamic_threshold: float | None


class PathChoices(StepChoices, total=False):
    """The fields of `SamplingOptions` but the sampler."""

    guidance_strength: float | None
    clip: bool


class SamplingChoices(PathChoices, total=False):
    """The fields of `SamplingOptions` as keyword arguments, for editors and type checkers."""

    sampler: str | None


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The choices of a sampling run; None is the card's recommendation, or the sampler's own.

    Args:
        sampler: str. A key of `SAMPLERS`.
        steps: int, 1 .. T.
        spacing: str. A key of `SPACINGS`. Defaults to `"trailing"`.
        guidance_strength: float, the w of Ho & Salimans 2022; 0 is the conditional model itself.
        guidance_interval: `(low, high)` noise levels sigma between which guidance applies; steps
            outside cost one evaluation. `(0, inf)` is everywhere.
        guidance_rescale: float, 0 .. 1. How far the prediction's spread is scaled back to that of
            the plain one. Defaults to `0`.
        eta: float, 0 .. 1. How much fresh noise `ddim` adds. Defaults to `0`.
        variance: str. "fixed_small" or "fixed_large", for `ddpm`. Defaults to `"fixed_small"`.
        clip: bool. Whether the predicted image is clipped to the value range at each step.
        dynamic_threshold: float in (0, 1], such as 0.995. Clips at this quantile instead.
    """

    sampler: str | None = None
    steps: int | None = None
    spacing: str | None = None
    guidance_strength: float | None = None
    guidance_interval: tuple[float, float] | None = None
    guidance_rescale: float = 0.0
    eta: float | None = None
    variance: str | None = None
    clip: bool = True
    dynamic_threshold: float | None = None

    def resolve(self, card: DenoiserCard, start: int | None = None) -> SamplingOptions:
        """Fills what was left out from the card and refuses what can't be.

        Args:
            card: `DenoiserCard`.
            start: int. The noisiest timestep that will be visited; T-1 unless given.

        Raises:
            ValueError: says which choice, why, and what was received.
        """
        most = card.schedule.num_timesteps if start is None else start + 1
        chosen: Any = replace(
            self,
            sampler=card.sampler if self.sampler is None else self.sampler,
            steps=min(card.steps, most) if self.steps is None else self.steps,
            spacing="trailing" if self.spacing is None else self.spacing,
            guidance_strength=(
                card.guidance_strength if self.guidance_strength is None else self.guidance_strength
            ),
            guidance_interval=(
                card.guidance_interval if self.guidance_interval is None else self.guidance_interval
            ),
        )
        check_strength(chosen.guidance_strength)
        self._check_sampler_options(find_sampler(chosen.sampler), chosen.sampler)
        return chosen

    def _check_sampler_options(self, sampler: Sampler, name: str) -> None:
        for option in sampler.options:
            if not hasattr(self, option):
                raise ValueError(
                    "The options of a sampler must be fields of `SamplingOptions`. "
                    f"Received: {option!r} of the sampler {name!r}"
                )
        for option in dict.fromkeys(each for row in SAMPLERS.values() for each in row.options):
            value = getattr(self, option, None)  # None: of a row that can't be sampled with
            if value is not None and option not in sampler.options:
                raise ValueError(
                    f"`{option}` has no meaning for the sampler {name!r}. "
                    f"Received: {option}={value!r}"
                )
        if self.eta is not None:
            check_number("eta", self.eta, "a number from 0 to 1", 0, 1)
        if self.variance is not None:
            check_variance(self.variance)

    def threshold(
        self, value_range: tuple[float, float]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """The function that keeps x_0 within the range, or None."""
        if not isinstance(self.clip, bool):
            raise ValueError(f"`clip` must be True or False. Received: clip={self.clip!r}")
        if self.dynamic_threshold is not None:
            if not self.clip:
                raise ValueError(
                    "`dynamic_threshold` must be None when `clip` is False. "
                    f"Received: dynamic_threshold={self.dynamic_threshold!r}"
                )
            return dynamic_threshold(value_range, self.dynamic_threshold)
        return static_threshold(value_range) if self.clip else None


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
    threshold = chosen.threshold(card.value_range)
    return Plan(
        schedule=card.schedule,
        pairs=pairs,
        sampler=sampler,
        step=functools.partial(sampler.step, **own),
        predict_for=lambda labels: predictor(
            network, labels, card.schedule, card.prediction_type, threshold
        ),
    )


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
