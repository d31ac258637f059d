"""The sampling loop: seeds and labels in, images out, batch by batch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import Asked, Conditions, Integers, check_conditions
from kdiffusion.diffusion.denoiser import Denoiser, as_denoiser
from kdiffusion.diffusion.guidance import within_interval
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import Plan, check_seeds, make_plan
from kdiffusion.diffusion.seeded_noise import ImageNoise
from kdiffusion.diffusion.transition import Transition

# Grids stay readable: a model of a hundred classes shows its first ten.
MOST_LABELS = 10
# callback(index, t, x, x0): the fields of each `Step`.
Callback = Callable[[int, int, np.ndarray, np.ndarray], object]


@dataclass(frozen=True)
class Step:
    """Where a batch is after a step, in float64.

    Args:
        index: int, from 0.
        t: int. The timestep that x is at now; -1 at the end.
        x: array `[B, H, W, C]`: at the end the images.
        x0: array `[B, H, W, C]`: what the network took the clean images to be. None where it
            wasn't asked, as where inpainting goes back up.
    """

    index: int
    t: int
    x: np.ndarray
    x0: np.ndarray | None


def sampling_steps(
    denoiser: Denoiser,
    labels: Asked,
    seeds: Integers | None = None,
    *,
    numbers: Mapping[str, Any] | None = None,
    images: np.ndarray | None = None,
    latents: np.ndarray | None = None,
    **options: Any,
) -> Iterator[Step]:
    """Samples one batch step by step, as `sample` does; stop iterating to stop sampling.

    Arguments are checked by the call, before the first step.

    Args:
        denoiser: as in `sample`, like the other arguments.

    Yields:
        `Step`.
    """
    denoiser, asked = as_denoiser(denoiser), _asked(labels, numbers, images)
    seeds, conditions = _checked(denoiser.card, asked, seeds)
    plan = make_plan(denoiser, SamplingOptions(**options))
    return denoise(plan, conditions, *_beginning(denoiser.card, seeds, latents))


def sample(
    denoiser: Denoiser,
    labels: Asked,
    seeds: Integers | None = None,
    *,
    numbers: Mapping[str, Any] | None = None,
    images: np.ndarray | None = None,
    latents: np.ndarray | None = None,
    batch_size: int = 64,
    progress: bool = True,
    callback: Callback | None = None,
    **options: Any,
) -> np.ndarray:
    """Samples one image for each label and seed (Ho et al. 2020, algorithm 2, or another sampler).

    Args:
        denoiser: a Denoiser, or a `DiffusionModel`.
        labels: classes `[N]`, by number or name, or the card's `null_label` for no class; or one
            for all. Or a dict of all conditions, as for `check_conditions`.
        seeds: ints `[N]`. An image depends on its own seed and label alone. Defaults to 0, 1, ...
            for the labels.
        numbers: dict from each name of the card's `numbers` to a number, or `[N]` numbers, in its
            unit; of a model that is conditioned on them.
        images: array `[H, W, C']` or `[N, H, W, C']`, uint8 or in the value range; of a model that
            is conditioned on an image.
        latents: array `[N, H, W, C]` to start from, instead of the noise of the seeds.
        batch_size: int. Images at a time; with guidance the network sees twice as many.
        progress: bool. Whether to show a bar on standard error.
        callback: `callback(index, t, x, x0)` after each step of each batch: the fields of `Step`.
        **options: the fields of `SamplingOptions`: sampler, steps, guidance_strength, ...

    Returns:
        float32 array `[N, H, W, C]` in the card's value range.

    Raises:
        ValueError: invalid options.
    """
    denoiser, asked = as_denoiser(denoiser), _asked(labels, numbers, images)
    card = denoiser.card
    seeds, conditions = _checked(card, asked, seeds)
    plan = make_plan(denoiser, SamplingOptions(**options))

    def run(indices, on_step):
        given = None if latents is None else np.asarray(latents)[indices]
        x, normal = _beginning(card, [seeds[i] for i in indices], given)
        return last_image(denoise(plan, conditions[indices], x, normal), callback, on_step)

    return in_batches(run, len(seeds), len(plan.pairs), batch_size, progress)


def sample_by_class(
    denoiser: Denoiser, per_label: int, seed: int = 0, progress: bool = True
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Samples as the card recommends, one of the first ten classes after another.

    Args:
        denoiser: as in `sample`; of a model that is conditioned on a class alone, or on nothing.
        per_label: int, P. Images of each class.
        seed: int. Of the first image; image i has `seed + i`. Defaults to `0`.
        progress: bool. Whether to show a bar.

    Returns:
        (float32 array `[P * classes, H, W, C]`, names of the classes).
    """
    names = denoiser.card.class_names[:MOST_LABELS]
    labels = np.repeat(np.arange(max(len(names), 1)), per_label)
    return sample(denoiser, labels, seed + np.arange(len(labels)), progress=progress), names


def _asked(labels, numbers, images) -> Asked:
    """The conditions as one argument; `labels` may be that already."""
    if numbers is None and images is None:
        return labels
    return {"label": labels, "numbers": numbers, "image": images}


def _checked(card: DenoiserCard, asked: Asked, seeds):
    """(seeds, conditions), as they are computed with."""
    named = vars(asked) if isinstance(asked, Conditions) else asked
    labels = named.get("label", 0) if isinstance(named, Mapping) else named
    seeds = check_seeds(seeds, np.size(labels))
    return seeds, check_conditions(card, asked, len(seeds))


def _beginning(card: DenoiserCard, seeds, latents):
    """(x_T, what draws the noise after it) of a batch."""
    noise = ImageNoise(seeds, card.image_shape)
    x = noise.normal()  # drawn even when unused: later draws don't depend on `latents`
    return (x if latents is None else np.asarray(latents, np.float64)), noise.normal


def in_batches(
    run: Callable[[np.ndarray, Callable[[], object]], np.ndarray],
    count: int,
    steps: int,
    batch_size: int,
    progress: bool,
    description: str = "Sampling",
) -> np.ndarray:
    """What `run(indices, on_step)` gives for consecutive batches, in one array.

    Args:
        run: does the work of one batch; calls `on_step()` after each of its steps.
        count: int, N.
        steps: int. How often `run` calls `on_step`.
        batch_size: int, at least 1.
        progress: bool. Whether to show the bar.
        description: str. What the bar says.

    Returns:
        array `[N, ...]`.
    """
    batches = [np.arange(i, min(i + batch_size, count)) for i in range(0, count, batch_size)]
    total = len(batches) * steps
    with tqdm(total=total, desc=description, unit="step", disable=not progress) as bar:
        return np.concatenate([run(indices, bar.update) for indices in batches])


def denoise(
    plan: Plan,
    conditions: Conditions,
    x: np.ndarray,
    normal: Callable[[], np.ndarray],
) -> Iterator[Step]:
    """Steps one batch from the plan's first timestep to the clean image."""
    predict = plan.predict_for(conditions)
    history = ()
    for index, (t, s) in enumerate(plan.pairs):
        x, estimate = plan.step(Transition(predict(x, t), s, plan.schedule, history, normal))
        history = (*history[-1:], estimate)  # no solver here looks further back than two
        if s < 0 and plan.options.clip:
            x = np.clip(x, -1.0, 1.0)  # the last x of most samplers is x_0 itself
        yield Step(index, s, x, estimate.x0)


def last_image(
    steps: Iterable[Step], callback: Callback | None, on_step: Callable[[], object]
) -> np.ndarray:
    """Takes all steps, each told to `callback` and counted by `on_step`: the last x, float32."""
    x = np.empty(0)
    for step in steps:
        if callback is not None and step.x0 is not None:
            callback(step.index, step.t, step.x, step.x0)
        on_step()
        x = step.x
    return x.astype(np.float32)


def network_evaluations(card: DenoiserCard, **options: Any) -> int:
    """How often the network is evaluated for one image; a guided step costs two evaluations.

    Args:
        card: `DenoiserCard`.
        **options: the fields of `SamplingOptions`.
    """
    chosen: Any = SamplingOptions(**options).resolve(card)  # what was None is not any more
    visited = [t for t, _ in chosen.pairs(card.schedule)]
    if not chosen.guidance_strength:
        return len(visited)
    guides_at = within_interval(card.schedule.noise_levels, chosen.guidance_interval)
    return len(visited) + int(guides_at[visited].sum())
