"""DDIM inversion: from an image to the latent that the deterministic sampler turns into it."""

from typing import Any

import numpy as np

from kdiffusion.diffusion.conditions import Asked, check_conditions
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.prediction import Estimate
from kdiffusion.diffusion.sampling import in_batches
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import check_images, make_plan

# Root mean square of noise that nobody meets: of N(0, 1), six numbers in one of a billion draws.
LARGEST_NOISE = 3.0
# An image far from its class, or strong guidance, has a larger latent. There an iterate may be so
# much larger than the step's first: solutions are, of 20 steps and more.
LARGEST_GROWTH = 1.2
# What is inverted unless other options are given.
INVERTIBLE: dict[str, Any] = {"sampler": "ddim", "guidance_strength": 0.0}


def invert(
    denoiser: Denoiser,
    images: np.ndarray,
    labels: Asked,
    *,
    fixed_point_iterations: int = 5,
    batch_size: int = 64,
    progress: bool = True,
    **options: Any,
) -> np.ndarray:
    """Latents of images (Song et al. 2021, section 4.3; solved as in Pan et al. 2023, AIDI).

    It solves DDIM's step from t to s for x_t. The step needs the prediction at (x_t, t), which is
    unknown; the original method approximates it by the prediction at (x_s, t). Here that is only
    the start of a fixed-point iteration, so that sampling leads back to the image. The best iterate
    is kept. One that diverges is moved halfway back to it.

    Sample from the latents with sampler "ddim" and the same labels and options.

    Args:
        denoiser: a Denoiser.
        images: float array `[N, H, W, C]` in the value range.
        labels: classes `[N]`, by number or name, or one for all.
        fixed_point_iterations: int. Iterations per step; 1 is the original method, with one
            evaluation. With n > 1 a step takes n + 1. Defaults to `5`.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.
        **options: the fields of `SamplingOptions`. Only "ddim" with eta 0, the default, has an
            inverse here. `guidance_strength` defaults to `0.0`: strong guidance makes the inversion
            unstable. Near pure noise an error in eps counts a hundredfold in x_0: without `clip`, a
            trained network's latents do not lead back to the image.

    Returns:
        float64 array `[N, H, W, C]`: x at the noisiest timestep.
    """
    images = check_images(denoiser.card, images)
    conditions = check_conditions(denoiser.card, labels, len(images))
    chosen = SamplingOptions(**{**INVERTIBLE, **options})
    plan = make_plan(denoiser, chosen)
    if chosen.sampler != "ddim" or chosen.eta:
        raise ValueError(
            "`sampler` must be 'ddim' with `eta` 0, whose step can be run backwards here. "
            f"Received: sampler={chosen.sampler!r}, eta={chosen.eta}"
        )

    def run(indices, on_step):
        predict, x = plan.predict_for(conditions[indices]), images[indices]
        for t, s in reversed(plan.pairs):  # from the image up
            x = _step_up(predict, x, plan.schedule, t, s, fixed_point_iterations)
            on_step()
        return x

    return in_batches(run, len(images), len(plan.pairs), batch_size, progress, "Inverting")


def _step_up(predict, x_s, schedule: NoiseSchedule, t: int, s: int, iterations: int) -> np.ndarray:
    """The iterate x_t, image by image, whose step down comes nearest to x_s."""
    x = _by_noise(predict(x_s, t), x_s, schedule, t, s)
    if iterations == 1:
        return x
    nearest, least = x, np.inf
    largest = np.maximum(LARGEST_NOISE, LARGEST_GROWTH * _size(x))
    for _ in range(iterations):
        estimate = predict(x, t)
        abar_s = schedule.alpha_bar(s)
        down = np.sqrt(abar_s) * estimate.x0 + np.sqrt(1.0 - abar_s) * estimate.eps
        error = np.mean((down - x_s) ** 2, axis=(1, 2, 3), keepdims=True)
        is_nearer = (error < least) & (_size(x) < largest)
        nearest, least = np.where(is_nearer, x, nearest), np.where(is_nearer, error, least)
        towards = _by_either(estimate, x_s, schedule, t, s)
        x = np.where(is_nearer, towards, 0.5 * (x + nearest))
    return nearest


def _size(x) -> np.ndarray:
    """The root mean square of each image, `[B, 1, 1, 1]`."""
    return np.sqrt(np.mean(x**2, axis=(1, 2, 3), keepdims=True))


def _by_noise(estimate: Estimate, x_s, schedule: NoiseSchedule, t: int, s: int) -> np.ndarray:
    """x_t of the line through x_s along the estimate's noise (Song et al. 2021, eq. 13)."""
    abar_t, abar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
    x0 = (x_s - np.sqrt(1.0 - abar_s) * estimate.eps) / np.sqrt(abar_s)
    return np.sqrt(abar_t) * x0 + np.sqrt(1.0 - abar_t) * estimate.eps


def _by_either(estimate: Estimate, x_s, schedule: NoiseSchedule, t: int, s: int) -> np.ndarray:
    """x_t of the line through x_s that the estimate points along, by its image or by its noise.

    For data of variance about 1, an error in x_t comes back multiplied by alpha_s alpha_t /
    (sigma_s sigma_t) as much through x_0 as through eps: the smaller one is taken. Near pure noise
    eps is x_t itself, and only x_0 brings the iteration anywhere.
    """
    abar_t, abar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
    if abar_s * abar_t >= (1.0 - abar_s) * (1.0 - abar_t):
        return _by_noise(estimate, x_s, schedule, t, s)
    eps = (x_s - np.sqrt(abar_s) * estimate.x0) / np.sqrt(1.0 - abar_s)
    return np.sqrt(abar_t) * estimate.x0 + np.sqrt(1.0 - abar_t) * eps
