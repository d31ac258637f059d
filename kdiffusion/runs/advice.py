"""What a run warns of before it begins: settings that can be, and hardly serve it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdiffusion.runs.config import Config


def advise(config: Config, image_shape: tuple[int, int, int], total_steps: int) -> None:
    """Warns of a warm-up that outlasts the run, of guidance and of attention that come to nothing.

    Args:
        config: `Config`.
        image_shape: `(height, width, channels)` of the run's images.
        total_steps: int. Of the whole run.
    """
    _warn_of_warm_up(config, total_steps)
    _warn_of_guidance(config)
    _warn_of_attention(config.model, image_shape)


def _warn_of_warm_up(config, total_steps):
    if 2 * config.optimizer.warmup_steps > total_steps:
        warnings.warn(
            f"`optimizer.warmup_steps` is {config.optimizer.warmup_steps}, and the whole run has "
            f"{total_steps} steps: its learning rate rises for most of it. Try more "
            "`optimizer.epochs`, or fewer steps of warm-up.",
            stacklevel=5,
        )


def _warn_of_guidance(config):
    if config.diffusion.label_dropout == 0 and config.sampling.guidance_strength != 0:
        warnings.warn(
            "`diffusion.label_dropout` is 0, so the network never learns to predict without a "
            "label, which guidance leans on: it is sampled without guidance, and its card "
            "recommends none. `sampling.guidance_strength` was "
            f"{config.sampling.guidance_strength:g}.",
            stacklevel=5,
        )


def _warn_of_attention(model, image_shape):
    if model.network != "unet":  # others may be told of their attention by options of their own
        return
    levels = range(len(model.channel_multipliers))
    heights = [image_shape[0] // (model.patch_size * 2**level) for level in levels]
    missing = [height for height in model.attention_resolutions if height not in heights]
    if missing:
        warnings.warn(
            f"`model.attention_resolutions` must be heights of the network's maps, which are "
            f"{_listed(heights)} here: no attention comes of {_listed(missing)}.",
            stacklevel=5,
        )


def _listed(numbers):
    return ", ".join(map(str, numbers))
