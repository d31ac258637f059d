"""Image to image: noise an image part of the way, denoise it again (Meng et al. 2022, SDEdit)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdiffusion.diffusion.arguments import (
    Integers,
    Labels,
    check_images,
    check_labels,
    check_seeds,
)
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.options import SamplingOptions
from kdiffusion.diffusion.plan import make_plan
from kdiffusion.diffusion.sampling import Callback, denoise, gather, in_batches, last_image
from kdiffusion.diffusion.seeded_noise import ImageNoise


def image_to_image(
    denoiser: Denoiser,
    images: np.ndarray,
    labels: Labels,
    seeds: Integers,
    *,
    noise_level: float,
    batch_size: int = 64,
    progress: bool = True,
    callback: Callback | None = None,
    **options: Any,
) -> np.ndarray:
    """Draws variations of images, as their labels would have them (SDEdit, algorithm 2).

    Args:
        denoiser: a Denoiser.
        images: float array `[N, H, W, C]` in the value range, or `[H, W, C]` for all seeds.
        labels: classes `[N]`, by number or name, or one for all.
        seeds: ints `[N]`.
        noise_level: float in (0, 1]. Which part of the T noising steps the images go up; near 0
            they stay as they are, at 1 hardly anything of them is left.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.
        callback: as in `sample`.
        **options: the fields of `SamplingOptions`; `steps` are spread over the part gone up.

    Returns:
        float32 array `[N, H, W, C]`.
    """
    card = denoiser.card
    seeds = check_seeds(seeds)
    images = check_images(card, images, len(seeds))
    labels = check_labels(card, labels, len(seeds))
    start = max(round(noise_level * card.schedule.num_timesteps) - 1, 0)
    plan = make_plan(denoiser, SamplingOptions(**options), start)
    first = plan.pairs[0][0]

    def run(indices, on_step):
        noise = ImageNoise([seeds[i] for i in indices], card.image_shape)
        x = card.schedule.q_sample(images[indices], first, noise.normal())
        return last_image(denoise(plan, labels[indices], x, noise.normal), callback, on_step)

    batches = in_batches(run, len(seeds), len(plan.pairs), batch_size, progress)
    return gather(batches, len(seeds), card.image_shape, np.float32)
