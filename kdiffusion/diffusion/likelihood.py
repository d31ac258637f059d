"""The variational bound on the negative log-likelihood, term by term (Ho et al. 2020, eq. 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.sampling import in_batches
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import (
    Integers,
    Labels,
    Plan,
    check_images,
    check_labels,
    check_seeds,
    make_plan,
)
from kdiffusion.diffusion.seeded_noise import ImageNoise
from kdiffusion.images import to_model_range

HALF_PIXEL = 1.0 / 255.0  # half the distance between two of the 256 values in -1 .. 1


@dataclass(frozen=True)
class VariationalBound:
    """What an image costs when it is sent noise first, in bits per dimension.

    Args:
        timesteps: int array `[S]`, the t of each step, falling.
        terms: float64 array `[N, S]`. Column k is the step from t: L_{t-1}, the last one L_0.
        prior: float64 array `[N]`, L_T: what is left of the image in x_T.
    """

    timesteps: np.ndarray
    terms: np.ndarray
    prior: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """The bound of each image, float64 `[N]`."""
        return self.prior + self.terms.sum(axis=1)


def variational_bound(
    denoiser: Denoiser,
    images: np.ndarray,
    labels: Labels,
    seeds: Integers,
    *,
    steps: int | None = None,
    spacing: str = "trailing",
    variance: str = "fixed_large",
    clip: bool = True,
    batch_size: int = 64,
    progress: bool = True,
) -> VariationalBound:
    """An upper bound on -log2 p(image) / dimensions (Ho et al. 2020, eq. 5; one sample per term).

    Args:
        denoiser: a Denoiser.
        images: uint8 array `[N, H, W, C]`: bits are of 8-bit pixels.
        labels: classes `[N]`, by number or name, or one for all.
        seeds: ints `[N]`, of the noise.
        steps: int, 2 .. T. Evaluations per image; fewer than T give the bound of the shorter chain
            (Nichol & Dhariwal 2021, section 4). Defaults to T.
        spacing: str. A key of `SPACINGS`.
        variance: str. "fixed_small" or "fixed_large". Defaults to `"fixed_large"`, the tighter
            bound unless steps are few and pixels nearly certain.
        clip: bool. Whether the predicted image is clipped to the value range.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.

    Returns:
        `VariationalBound`.
    """
    card = denoiser.card
    seeds = check_seeds(seeds)
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(f"`images` must be uint8 pixels. Received: {images.dtype}")
    images = check_images(card, to_model_range(images), len(seeds))
    labels = check_labels(card, labels, len(seeds))
    steps = card.schedule.num_timesteps if steps is None else steps
    options = SamplingOptions(
        sampler="ddim", steps=steps, spacing=spacing, guidance_strength=0.0, clip=clip
    )
    plan = make_plan(denoiser, options)

    def run(indices, on_step):
        noise = ImageNoise([seeds[i] for i in indices], card.image_shape)
        return _batch_terms(plan, variance, labels[indices], images[indices], noise, on_step)

    nats = in_batches(run, len(seeds), len(plan.pairs), batch_size, progress, "Bounding")
    terms = nats / math.log(2.0)
    timesteps = np.array([t for t, _ in plan.pairs])
    return VariationalBound(timesteps=timesteps, terms=terms[:, 1:], prior=terms[:, 0])


def _batch_terms(plan: Plan, variance: str, labels, x0, noise: ImageNoise, on_step) -> np.ndarray:
    """Nats per dimension, `[B, 1 + S]`: the prior, then each step."""
    predict, schedule = plan.predict_for(labels), plan.schedule
    alpha_bar = schedule.alpha_bar(plan.pairs[0][0])
    signal = np.sqrt(alpha_bar) * x0
    columns = [normal_kl(signal, 1.0 - alpha_bar, 0.0, 1.0)]
    for t, s in plan.pairs:
        x = schedule.q_sample(x0, t, noise.normal())
        mean = schedule.posterior_mean(predict(x, t).x0, x, t, s)
        if s < 0:
            # The posterior's own variance is 0 here; the official code takes the step before's.
            step_before = schedule.posterior_variance(plan.pairs[-2][0], "fixed_small", t)
            columns.append(-discretised_log_likelihood(x0, mean, step_before))
        else:
            columns.append(
                normal_kl(
                    schedule.posterior_mean(x0, x, t, s),
                    schedule.posterior_variance(t, "fixed_small", s),
                    mean,
                    schedule.posterior_variance(t, variance, s),
                )
            )
        on_step()
    return np.stack([column.mean(axis=(1, 2, 3)) for column in columns], axis=1)


def normal_kl(
    mean_1: np.ndarray, variance_1: float, mean_2: np.ndarray | float, variance_2: float
) -> np.ndarray:
    """KL(N(mean_1, variance_1) || N(mean_2, variance_2)) in nats, for each element."""
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1.0 - np.log(ratio) + (mean_1 - mean_2) ** 2 / variance_2)


def discretised_log_likelihood(x0: np.ndarray, mean: np.ndarray, variance: float) -> np.ndarray:
    """log of the mass that N(mean, variance) gives each 8-bit pixel (Ho et al. 2020, eq. 13).

    The bins of the darkest and brightest values reach to infinity. A mass that underflows counts as
    the smallest float64.
    """
    std = math.sqrt(variance)
    low = np.where(x0 - HALF_PIXEL < -1.0, -np.inf, (x0 - HALF_PIXEL - mean) / std)
    high = np.where(x0 + HALF_PIXEL > 1.0, np.inf, (x0 + HALF_PIXEL - mean) / std)
    # Both tails alike: a difference of two numbers near 1 would lose all its digits.
    mirrored = low + high < 0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    mass = _upper_tail(low) - _upper_tail(high)
    return np.log(np.maximum(mass, np.finfo(np.float64).tiny))


def _upper_tail(z: np.ndarray) -> np.ndarray:
    """1 - Phi(z), to full relative precision."""
    erfc = np.frompyfunc(math.erfc, 1, 1)
    return 0.5 * np.asarray(erfc(z / math.sqrt(2.0)), np.float64)
