"""How well a network denoises, measured without sampling: comparable across targets and schedules.

Losses of networks with other targets, weights or densities of timesteps don't compare. The error in
x_0 at a given noise level means the same for each of them.
"""

from typing import Any

import numpy as np
from tqdm import tqdm

from kdiffusion.diffusion.conditions import Asked, check_conditions
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.prediction import to_x0_and_eps
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_model_range

# Octaves of sigma, in units of images in [-1, 1].
SIGMAS = tuple(0.1 * 2.0**k for k in range(7))  # 0.1 .. 6.4

# From 0.4 on the layout and the shapes are open; up to 0.2 only texture and edges are.
STRUCTURE_FROM = 0.4
DETAIL_UP_TO = 0.2

FEWEST_IMAGES = 2


def measure_network(
    denoiser: Denoiser,
    images: np.ndarray,
    labels: Asked,
    *,
    seed: int = 0,
    batch_size: int = 128,
    progress: bool = True,
) -> dict[str, Any]:
    """Errors in x_0 at fixed noise levels.

    The noise level is exact, whatever the schedule: the network gets the timestep whose sigma is
    nearest.

    Args:
        denoiser: a Denoiser.
        images: uint8 array `[N, H, W, C]`, at least 2, that the network was not trained on.
        labels: ints `[N]`, their classes; or all conditions, as for `check_conditions`.
        seed: int. Image i is noised by the seed `seed + i` (modulo 2^64), the same at every level.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar on standard error.

    Returns:
        dict of plain numbers and tuples:
        - `images`: how many were measured on; `sigmas`: the noise levels of the errors;
        - `x0_errors`: mean squared error in x_0 of one value of an image, for each of `sigmas`;
        - `structure`: log of the error over that of the best linear denoiser of each value by
          itself, sigma^2 sd^2 / (sigma^2 + sd^2), sd^2 the variance of the images' values: 0 for a
          network that knows no more than mean and variance. Averaged over sigma >= 0.4;
        - `detail`: the same over sigma <= 0.2; lower is better;
        - the standard errors of both over the images, such as `structure_standard_error`.
    """
    card = denoiser.card
    conditions = check_conditions(card, labels, len(images))
    x0 = np.asarray(to_model_range(images), np.float64)
    noise = initial_latents([(seed + i) % 2**64 for i in range(len(x0))], card.image_shape)
    batches = [slice(first, first + batch_size) for first in range(0, len(x0), batch_size)]
    by_level = []
    for sigma in tqdm(SIGMAS, "Measuring the network", disable=not progress):
        parts = [
            _errors(denoiser, x0[rows], noise[rows], conditions[rows], sigma) for rows in batches
        ]
        by_level.append(np.concatenate(parts))
    variance = float(x0.var(axis=(0, 1, 2)).mean())  # about each channel's mean
    return _summary(np.stack(by_level), variance)


def _errors(denoiser, x0, noise, conditions, sigma):
    """Mean squared error in x_0 of each image: float64 `[B]`."""
    card = denoiser.card
    timestep = int(np.argmin(np.abs(np.log(card.schedule.noise_levels / sigma))))
    alpha_bar = 1.0 / (1.0 + sigma**2)
    noisy = np.sqrt(alpha_bar) * (x0 + sigma * noise)
    timesteps = np.full(len(noisy), timestep, np.int32)
    prediction = denoiser(
        noisy.astype(np.float32), timesteps, conditions.label, **conditions.more
    ).astype(np.float64)
    guess, _ = to_x0_and_eps(prediction, noisy, alpha_bar, card.prediction_type)
    return np.mean(np.square(guess - x0), axis=(1, 2, 3))


def _summary(errors, variance):
    """The measures from errors `[levels, N]`."""
    sigmas, count = np.array(SIGMAS), errors.shape[1]
    linear = sigmas**2 * variance / (sigmas**2 + variance)
    means = errors.mean(axis=1)
    # Of a mean logarithm, by the delta method: each image's share of it.
    logs, influence = np.log(means / linear), errors / means[:, None]

    def mean_log(levels):
        return logs[levels].mean(), influence[levels].mean(axis=0).std(ddof=1) / np.sqrt(count)

    found = {
        "structure": mean_log(sigmas > STRUCTURE_FROM - 1e-9),
        "detail": mean_log(sigmas < DETAIL_UP_TO + 1e-9),
    }
    return {
        "images": count,
        "sigmas": SIGMAS,
        "x0_errors": tuple(means.tolist()),
        **{name: float(mean) for name, (mean, _) in found.items()},
        **{f"{name}_standard_error": float(error) for name, (_, error) in found.items()},
    }
