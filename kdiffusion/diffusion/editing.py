"""Images made from given ones: redrawn from a noise level, or painted anew where a mask says."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from kdiffusion.diffusion.conditions import Asked, Integers, check_conditions
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.sampling import Callback, Step, denoise, in_batches, last_image
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import Plan, check_images, check_seeds, make_plan
from kdiffusion.diffusion.seeded_noise import ImageNoise
from kdiffusion.diffusion.transition import Transition


def image_to_image(
    denoiser: Denoiser,
    images: np.ndarray,
    labels: Asked,
    seeds: Integers,
    *,
    strength: float,
    batch_size: int = 64,
    progress: bool = True,
    callback: Callback | None = None,
    **options: Any,
) -> np.ndarray:
    """Samples variations of images, as other classes (SDEdit, algorithm 2).

    Args:
        denoiser: a Denoiser.
        images: float array `[N, H, W, C]` in the value range, or `[H, W, C]` for all seeds.
        labels: classes `[N]`, by number or name, or one for all.
        seeds: ints `[N]`.
        strength: float in (0, 1]. Share of the T noising steps; near 0 the images hardly change,
            at 1 hardly anything of them is left.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.
        callback: as in `sample`.
        **options: the fields of `SamplingOptions`; `steps` are spread over that share of the noise.

    Returns:
        float32 array `[N, H, W, C]`.
    """
    card = denoiser.card
    seeds = check_seeds(seeds)
    images = check_images(card, images, len(seeds))
    conditions = check_conditions(card, labels, len(seeds))
    if not 0 < strength <= 1:
        raise ValueError(f"`strength` must be above 0 and at most 1. Received: {strength}")
    start = max(round(strength * card.schedule.num_timesteps) - 1, 0)
    plan = make_plan(denoiser, SamplingOptions(**options), start)
    first = plan.pairs[0][0]

    def run(indices, on_step):
        noise = ImageNoise([seeds[i] for i in indices], card.image_shape)
        x = card.schedule.q_sample(images[indices], first, noise.normal())
        return last_image(denoise(plan, conditions[indices], x, noise.normal), callback, on_step)

    return in_batches(run, len(seeds), len(plan.pairs), batch_size, progress)


def inpaint(
    denoiser: Denoiser,
    images: np.ndarray,
    keep_mask: np.ndarray,
    labels: Asked,
    seeds: Integers,
    *,
    sampler: str = "ddpm",
    resamplings: int = 5,
    jump_steps: int = 5,
    batch_size: int = 64,
    progress: bool = True,
    callback: Callback | None = None,
    **options: Any,
) -> np.ndarray:
    """Fills in the masked part of images, to fit the rest (RePaint, algorithm 1).

    Args:
        denoiser: a Denoiser.
        images: float array `[N, H, W, C]` in the value range, or `[H, W, C]` for all seeds.
        keep_mask: bool array `[H, W]` or `[N, H, W]`. True (1) keeps a pixel, False (0) fills it.
        labels: classes `[N]`, by number or name, or one for all.
        seeds: ints `[N]`.
        sampler: str. A sampler without history. Defaults to the paper's `"ddpm"`.
        resamplings: int, r. How often each group of steps is repeated; 1: never. The paper's
            is 10; the number of evaluations grows with it.
        jump_steps: int, j. Steps in a group; of few steps at most all but one. The paper's is 10
            of 250.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.
        callback: as in `sample`; called after each step towards the image.
        **options: the other fields of `SamplingOptions`.

    Returns:
        float32 array `[N, H, W, C]`; kept pixels are those of `images`.
    """
    card = denoiser.card
    seeds = check_seeds(seeds)
    images = check_images(card, images, len(seeds))
    height, width, _ = card.image_shape
    keep = np.broadcast_to(np.asarray(keep_mask, bool)[..., None], (len(seeds), height, width, 1))
    conditions = check_conditions(card, labels, len(seeds))
    plan = make_plan(denoiser, SamplingOptions(sampler=sampler, **options))
    if plan.sampler.multistep:
        raise ValueError(
            "`sampler` must use no earlier steps, such as ddpm or ddim: pasting the kept pixels in "
            "changes the path. "
            f"Received: sampler={sampler!r}"
        )
    jump_steps = max(min(jump_steps, len(plan.pairs) - 1), 1)
    moves = repaint_moves(len(plan.pairs), resamplings, jump_steps)

    def run(indices, on_step):
        noise = ImageNoise([seeds[i] for i in indices], card.image_shape)
        steps = _repaint(plan, moves, images[indices], keep[indices], conditions[indices], noise)
        return last_image(steps, callback, on_step)

    return in_batches(run, len(seeds), len(moves), batch_size, progress)


def repaint_moves(steps: int, resamplings: int, jump_steps: int) -> list[tuple[int, int]]:
    """The way down from level `steps` (noise) to 0 (the image), with jumps back up (appendix E).

    Before level 1, 1 + j, 1 + 2j, ... is left downwards, the stretch of j levels above it is gone
    through r times in all.

    Args:
        steps: int. Levels.
        resamplings: int, r.
        jump_steps: int, j.

    Returns:
        Pairs (from, to) of levels; to = from - 1 is a denoising step, to > from adds noise.
    """
    jumps = dict.fromkeys(range(1, steps - jump_steps + 1, jump_steps), resamplings - 1)
    moves, level = [], steps
    while level > 0:
        if jumps.get(level, 0) > 0:
            jumps[level] -= 1
            target = level + jump_steps
        else:
            target = level - 1
        moves.append((level, target))
        level = target
    return moves


def _repaint(plan: Plan, moves, images, keep, conditions, noise: ImageNoise) -> Iterator[Step]:
    """One batch along `moves`: RePaint's algorithm 1, with jumps of several steps."""
    predict, schedule = plan.predict_for(conditions), plan.schedule
    # Level k is timestep `timestep_of[k]`: level 0 the clean image, the highest pure noise.
    timestep_of = [-1, *(t for t, _ in reversed(plan.pairs))]
    x, index = noise.normal(), 0
    for here, there in moves:
        t, s = timestep_of[here], timestep_of[there]
        if there > here:  # line 10: q(x_s | x_t), from t up to s
            kept_signal = schedule.alpha_bar(s) / schedule.alpha_bar(t)
            x = np.sqrt(kept_signal) * x + np.sqrt(1.0 - kept_signal) * noise.normal()
            yield Step(index, s, x, None)
        else:
            transition = Transition(predict(x, t), s, schedule, normal=noise.normal)
            unknown, estimate = plan.step(transition)
            known = schedule.q_sample(images, s, noise.normal())  # lines 3-4; the images at s = -1
            x = np.where(keep, known, unknown)  # line 8
            yield Step(index, s, x, estimate.x0)
            index += 1
