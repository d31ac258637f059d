"""What a caller asks for, made concrete: seeds, steps, the sampler and the network."""

import functools
import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import Conditions, Integers
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.guidance import guided, within_interval
from kdiffusion.diffusion.prediction import Predict, predictor
from kdiffusion.diffusion.samplers import Sampler, find_sampler
from kdiffusion.diffusion.sampling_options import SamplingOptions


def check_seeds(seeds: Integers | None, count: int = 1) -> list[int]:
    """The seeds as Python ints; 0, 1, ... for `count` images where they are None."""
    checked = [operator.index(seed) for seed in (range(count) if seeds is None else seeds)]
    if checked and not 0 <= min(checked) <= max(checked) < 2**64:
        raise ValueError(
            f"`seeds` must be from 0 to 2^64 - 1. Received: {min(checked)} to {max(checked)}"
        )
    return checked


def check_images(card: DenoiserCard, images: np.ndarray, count: int | None = None) -> np.ndarray:
    """Images of the card's shape and range, as float64 `[N, H, W, C]`; one can serve `count`."""
    images = np.asarray(images)
    number = images.shape[:-3] if count is None else (count,)
    largest = 1.0 + 2e-5  # a float32 image may overshoot by its rounding
    fits = images.shape[-3:] == card.image_shape and images.dtype.kind == "f"
    if not (fits and np.all(np.abs(images) <= largest)):
        raise ValueError(
            f"`images` must be {card.image_shape}, floats from -1 to 1 (`to_model_range` brings "
            f"uint8 pixels there). Received: {images.shape}, {images.dtype} from {images.min()} to "
            f"{images.max()}"
        )
    return np.broadcast_to(images, (*number, *card.image_shape)).astype(np.float64)


@dataclass(frozen=True)
class Plan:
    """Options made concrete: the pairs (t, s), the step taken between them, and the network."""

    schedule: NoiseSchedule
    pairs: list[tuple[int, int]]
    sampler: Sampler
    step: Callable
    predict_for: Callable[[Conditions], Predict]  # of a batch -> predict(x, t)
    options: SamplingOptions  # as they were resolved


def make_plan(denoiser: Denoiser, options: SamplingOptions, start: int | None = None) -> Plan:
    """The plan that `options` stand for, on this denoiser; `start` is the noisiest timestep."""
    card = denoiser.card
    chosen: Any = options.resolve(card, start)  # what was None is not any more
    pairs, sampler = chosen.pairs(card.schedule, start), find_sampler(chosen.sampler)
    learned = None if card.coefficients or card.guidance_strength else card.timesteps
    if learned and (chosen.guidance_strength or [t for t, _ in pairs] != [*learned]):
        warnings.warn(
            f"This model is a student, which has learned the timesteps {learned} and their "
            "guidance. At other timesteps, or guided again, its images are worse",
            stacklevel=3,
        )
    own = {name: getattr(chosen, name) for name in sampler.options}
    own = {name: value for name, value in own.items() if value is not None}
    if sampler.fitted:
        own["corrections"] = card.corrections(pairs)
    guides_at = within_interval(card.schedule.noise_levels, chosen.guidance_interval)
    network = guided(denoiser, chosen.guidance_strength, card.null_label, guides_at)
    return Plan(
        schedule=card.schedule,
        pairs=pairs,
        sampler=sampler,
        step=functools.partial(sampler.step, **own),
        predict_for=lambda conditions: predictor(
            network, conditions, card.schedule, card.prediction_type, chosen.clip
        ),
        options=chosen,
    )
