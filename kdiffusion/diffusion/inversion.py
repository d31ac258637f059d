"""DDIM inversion: from a picture to the latent that the deterministic sampler turns into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.diffusion.arguments import check_images, check_labels, check_whole
from kdiffusion.diffusion.options import Plan, SamplingOptions, make_plan
from kdiffusion.diffusion.prediction import Denoiser, Estimate
from kdiffusion.diffusion.samplers import find_sampler
from kdiffusion.diffusion.sampling import gather, run_batches
from kdiffusion.diffusion.schedules import NoiseSchedule

if TYPE_CHECKING:
    from kdiffusion.card import DenoiserCard


def invert(
    denoiser: Denoiser,
    card: DenoiserCard,
    images: np.ndarray,
    labels: Sequence[int],
    *,
    sampler: str = "ddim",
    guidance_strength: float = 0.0,
    clip: bool = True,
    fixed_point_iterations: int = 5,
    batch_size: int = 64,
    progress: bool = True,
    **options,
) -> np.ndarray:
    """The latents of pictures (Song et al. 2021, section 4.3; solved as in Pan et al. 2023, AIDI).

    DDIM's step from t to s is run backwards. It uses the prediction at (x_t, t), where x_t is the
    unknown; the original takes the one at (x_s, t), an error in every step. Here that is the first
    iterate of a fixed-point iteration, so that sampling leads back to the picture.

    Sample from the latents with sampler "ddim" and the same `steps`, `spacing`, labels, guidance
    and `clip`.

    Args:
        denoiser: a Denoiser.
        card: `DenoiserCard` of that denoiser.
        images: float array `[N, H, W, C]` in the value range.
        labels: ints `[N]`, or one int for all.
        sampler: str. Only "ddim", with eta 0, has an inverse here.
        guidance_strength: float. Strong guidance makes the inversion unstable. Defaults to `0.0`.
        clip: bool. Whether the predicted picture is clipped to the value range at each step, as in
            sampling. Near pure noise, where an error in eps counts a hundredfold in x_0, a trained
            network's way up is lost without it. Defaults to `True`.
        fixed_point_iterations: int. Evaluations a step; 1 is the original's. Defaults to `5`.
        batch_size: int. Pictures at a time.
        progress: bool. Whether to show a bar.
        **options: the other fields of `SamplingOptions`.

    Returns:
        float64 array `[N, H, W, C]`: x at the noisiest timestep.
    """
    images = check_images(card, images)
    labels = check_labels(card, labels, len(images))
    options = SamplingOptions(
        sampler=sampler, guidance_strength=guidance_strength, clip=clip, **options
    )
    _check_invertible(sampler, options.eta or 0.0)
    iterations = check_whole("fixed_point_iterations", fixed_point_iterations)
    plan = make_plan(denoiser, card, options)

    def run(indices, on_step):
        return _climb(plan, labels[indices], images[indices], iterations, on_step)

    batches = run_batches(run, len(images), len(plan.pairs), batch_size, progress, "Inverting")
    return gather(batches, len(images), card.image_shape, np.float64)


def _climb(plan: Plan, labels, x, iterations: int, on_step) -> np.ndarray:
    """Solves x_s = ddim_step(x_t) for x_t, pair by pair from the picture up."""
    predict, schedule = plan.predict_for(labels), plan.schedule
    for t, s in reversed(plan.pairs):
        x_s = x
        for _ in range(iterations):
            x = _towards_noise(predict(x, t), x_s, schedule, t, s)
        on_step()
    return x


def _towards_noise(estimate: Estimate, x_s, schedule: NoiseSchedule, t: int, s: int) -> np.ndarray:
    """x_t of the line through x_s that `estimate` points along, by its picture or by its noise.

    For data of variance about 1, an error in x_t comes back multiplied by alpha_s alpha_t /
    (sigma_s sigma_t) as much through x_0 as through eps: the smaller one is taken. Near pure noise
    eps is x_t itself, and only x_0 brings the iteration anywhere.
    """
    abar_t, abar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
    x0, eps = estimate.x0, estimate.eps
    if abar_s * abar_t < (1.0 - abar_s) * (1.0 - abar_t):
        eps = (x_s - np.sqrt(abar_s) * x0) / np.sqrt(1.0 - abar_s)
    else:
        x0 = (x_s - np.sqrt(1.0 - abar_s) * eps) / np.sqrt(abar_s)
    return np.sqrt(abar_t) * x0 + np.sqrt(1.0 - abar_t) * eps


def _check_invertible(sampler: str, eta: float) -> None:
    if find_sampler(sampler).is_random(eta):
        raise ValueError(
            "`sampler` must be deterministic to be inverted: one that draws fresh noise leads from "
            f"one latent to many pictures. Received: sampler={sampler!r}, eta={eta}"
        )
    if sampler != "ddim":
        raise ValueError(
            "`sampler` must be 'ddim', the only one whose step can be run backwards here. "
            f"Received: sampler={sampler!r}"
        )
