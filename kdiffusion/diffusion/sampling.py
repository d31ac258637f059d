"""The sampling loop: seeds and labels in, pictures out, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from kdiffusion.diffusion.noise import ImageNoise
from kdiffusion.diffusion.options import Plan, SamplingOptions, make_plan
from kdiffusion.diffusion.prediction import Denoiser

if TYPE_CHECKING:
    from kdiffusion.card import DenoiserCard

# callback(step_index, t, x, x0): after each step, in float64: the batch x, now at timestep t (-1 at
# the end), and what the network took the clean pictures to be.
Callback = Callable[[int, int, np.ndarray, np.ndarray], None]


def sample(
    denoiser: Denoiser,
    card: DenoiserCard,
    labels: Sequence[int],
    seeds: Sequence[int],
    *,
    latents: np.ndarray | None = None,
    batch_size: int = 64,
    progress: bool = True,
    callback: Callback | None = None,
    **options,
) -> np.ndarray:
    """Draws one picture for each label and seed (Ho et al. 2020, algorithm 2, or another sampler).

    Args:
        denoiser: a Denoiser.
        card: `DenoiserCard` of that denoiser.
        labels: ints `[N]`, classes, or the card's `null_label` for no class.
        seeds: ints `[N]`. A picture depends on its own seed and label alone.
        latents: array `[N, H, W, C]` to begin from; drawn from the seeds unless given.
        batch_size: int. Pictures at a time; with guidance the network sees twice as many.
        progress: bool. Whether to show a bar on standard error.
        callback: `callback(step_index, t, x, x0)` after each step of each batch; see `Callback`.
        **options: the fields of `SamplingOptions`: sampler, steps, guidance_strength, ...

    Returns:
        float32 array `[N, H, W, C]` in the card's value range.

    Raises:
        ValueError: for a choice that can't be, with the reason.
    """
    images = np.empty((len(seeds), *card.image_shape), np.float32)
    for indices, batch in sample_batches(
        denoiser, card, labels, seeds, latents=latents, batch_size=batch_size, progress=progress,
        callback=callback, **options,
    ):  # fmt: skip
        images[indices] = batch
    return images


def sample_batches(
    denoiser: Denoiser,
    card: DenoiserCard,
    labels: Sequence[int],
    seeds: Sequence[int],
    *,
    latents: np.ndarray | None = None,
    batch_size: int = 64,
    progress: bool = True,
    callback: Callback | None = None,
    **options,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `sample`, but gives `(indices, images)` batch by batch: memory doesn't grow with N.

    Arguments are checked at the call, before the first batch is asked for.
    """
    labels, seeds = check_labels_and_seeds(card, labels, seeds)
    if latents is not None and np.shape(latents) != (len(seeds), *card.image_shape):
        raise ValueError(
            f"`latents` must have the shape {(len(seeds), *card.image_shape)}. "
            f"Received: {np.shape(latents)}"
        )
    plan = make_plan(denoiser, card, SamplingOptions(**options))

    def starts(indices, noise):
        drawn = noise.normal()  # drawn even when unused: later draws don't depend on `latents`
        return drawn if latents is None else np.asarray(latents, np.float64)[indices]

    return run_batches(
        plan,
        card,
        labels,
        seeds,
        starts,
        batch_size=batch_size,
        progress=progress,
        callback=callback,
    )


def run_batches(
    plan: Plan,
    card: DenoiserCard,
    labels: np.ndarray,
    seeds: list[int],
    starts: Callable[[np.ndarray, ImageNoise], np.ndarray],
    *,
    batch_size: int,
    progress: bool,
    callback: Callback | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Runs `plan` over all images; `starts(indices, noise)` gives a batch at its first timestep."""
    batches = split_into_batches(len(seeds), batch_size)

    def generate():
        total = len(batches) * len(plan.pairs)
        with tqdm(total=total, desc="Sampling", unit="step", disable=not progress) as bar:
            for indices in batches:
                noise = ImageNoise([seeds[i] for i in indices], card.image_shape)
                x = starts(indices, noise)
                x = denoise(plan, labels[indices], x, noise.normal, callback, bar.update)
                yield indices, x.astype(np.float32)

    return generate()


def denoise(
    plan: Plan,
    labels: np.ndarray,
    x: np.ndarray,
    normal: Callable[[], np.ndarray],
    callback: Callback | None = None,
    on_step: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Steps one batch from the plan's first timestep to the clean picture, in float64."""
    predict = plan.predict_for(labels)
    history = ()
    for index, (t, s) in enumerate(plan.pairs):
        x, estimate = plan.step(predict, x, t, s, plan.schedule, history, normal)
        history = (*history[-1:], estimate)  # no solver here looks further back than two
        if callback is not None:
            callback(index, s, x, estimate.x0)
        on_step()
    return x


def network_evaluations(card: DenoiserCard, **options) -> int:
    """How often the network is evaluated for one picture; a guided step costs two evaluations.

    Args:
        card: `DenoiserCard`.
        **options: the fields of `SamplingOptions`.
    """
    visited = []

    def count(noisy_image, timestep, label):
        visited.append(len(noisy_image))
        return np.zeros_like(noisy_image)

    plan = make_plan(count, card, SamplingOptions(**options, clip=False))
    x = np.zeros((1, 1, 1, 1))
    denoise(plan, np.zeros(1, np.int32), x, lambda: x)
    return sum(visited)


def split_into_batches(count: int, batch_size: int) -> list[np.ndarray]:
    """Indices 0 .. count-1 in consecutive groups of at most `batch_size`."""
    if int(batch_size) != batch_size or batch_size < 1:
        raise ValueError(
            f"`batch_size` must be a whole number of at least 1. Received: batch_size={batch_size}"
        )
    return [np.arange(i, min(i + batch_size, count)) for i in range(0, count, int(batch_size))]


def check_labels_and_seeds(
    card: DenoiserCard, labels: Sequence[int], seeds: Sequence[int]
) -> tuple[np.ndarray, list[int]]:
    """int32 labels `[N]` and N seeds as Python ints, or a `ValueError`."""
    seeds = [int(seed) if isinstance(seed, np.integer) else seed for seed in seeds]
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) != len(seeds) or not seeds:
        raise ValueError(
            "`labels` and `seeds` must be two sequences of the same length, at least 1. "
            f"Received: labels of shape {labels.shape}, {len(seeds)} seeds"
        )
    known = labels.dtype.kind in "iu" and np.all((labels >= 0) & (labels <= card.null_label))
    if not known:
        raise ValueError(
            f"`labels` must be integers from 0 to {card.null_label - 1}, or {card.null_label} for "
            "no class. "
            f"Received: labels={np.unique(labels).tolist()}"
        )
    ImageNoise(seeds, card.image_shape)  # refuses impossible seeds before any work is done
    return labels.astype(np.int32), seeds
