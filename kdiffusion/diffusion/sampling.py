"""The sampling loop: seeds and labels in, pictures out, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from kdiffusion.checks import check_whole
from kdiffusion.diffusion.arguments import check_labels, check_seeds
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import Denoiser, NetworkDenoiser
from kdiffusion.diffusion.plan import Plan, SamplingOptions, make_plan
from kdiffusion.diffusion.seeded_noise import ImageNoise

# callback(step_index, t, x, x0): after each step, in float64: the batch x, now at timestep t (-1 at
# the end), and what the network took the clean pictures to be.
Callback = Callable[[int, int, np.ndarray, np.ndarray], None]


def sample(
    denoiser: Denoiser,
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
        labels: ints `[N]`, classes, or the card's `null_label` for no class; one int serves all.
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
    batches = sample_batches(
        denoiser, labels, seeds, latents=latents, batch_size=batch_size, progress=progress,
        callback=callback, **options,
    )  # fmt: skip
    return gather(batches, len(seeds), denoiser.card.image_shape, np.float32)


def sample_batches(
    denoiser: Denoiser,
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
    card = denoiser.card
    seeds = check_seeds(seeds)
    labels = check_labels(card, labels, len(seeds))
    latents = None if latents is None else np.asarray(latents)
    if latents is not None and latents.shape != (len(seeds), *card.image_shape):
        raise ValueError(
            f"`latents` must have the shape {(len(seeds), *card.image_shape)}. "
            f"Received: {latents.shape}"
        )
    if latents is not None and not np.all(np.isfinite(latents)):
        raise ValueError("`latents` must be finite numbers. Received: NaN or infinity among them")
    plan = make_plan(denoiser, SamplingOptions(**options))

    def run(indices, on_step):
        noise = ImageNoise([seeds[i] for i in indices], card.image_shape)
        x = noise.normal()  # drawn even when unused: later draws don't depend on `latents`
        if latents is not None:
            x = np.asarray(latents[indices], np.float64)
        x0 = denoise(plan, labels[indices], x, noise.normal, callback, on_step)
        return x0.astype(np.float32)

    return in_batches(run, len(seeds), len(plan.pairs), batch_size, progress)


def in_batches(
    run: Callable[[np.ndarray, Callable[[], object]], np.ndarray],
    count: int,
    steps: int,
    batch_size: int,
    progress: bool,
    description: str = "Sampling",
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Gives `(indices, run(indices, on_step))` for consecutive batches, under one progress bar.

    Args:
        run: does the work of one batch; calls `on_step()` after each of its steps.
        count: int, N.
        steps: int. How often `run` calls `on_step`.
        batch_size: int, at least 1.
        progress: bool. Whether to show the bar.
        description: str. What the bar says.
    """
    batch_size = check_whole("batch_size", batch_size)
    batches = range(0, count, batch_size)

    def generate():
        total = len(batches) * steps
        with tqdm(total=total, desc=description, unit="step", disable=not progress) as bar:
            for first in batches:
                indices = np.arange(first, min(first + batch_size, count))
                yield indices, run(indices, bar.update)

    return generate()


def gather(
    batches: Iterator[tuple[np.ndarray, np.ndarray]], count: int, shape: Sequence[int], dtype
) -> np.ndarray:
    """The batches of `in_batches` in one array `[count, *shape]`."""
    results = np.empty((count, *shape), dtype)
    for indices, batch in batches:
        results[indices] = batch
    return results


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

    plan = make_plan(NetworkDenoiser(card, count), SamplingOptions(**options))
    x = np.zeros((1, *card.image_shape))
    denoise(plan, np.zeros(1, np.int32), x, lambda: x)
    return sum(visited)
