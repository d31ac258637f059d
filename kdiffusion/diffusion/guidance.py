"""Classifier-free guidance (Ho & Salimans 2022): a network in, a network out."""

import math

import numpy as np

from kdiffusion.diffusion.conditions import Conditions
from kdiffusion.diffusion.prediction import Network

# The interval that stands for None in a card and in a run's settings, where no infinity is stored.
EVERYWHERE = (0.0, math.inf)


def guided(
    network: Network,
    strength: float,
    null_label: int,
    guides_at: np.ndarray,
) -> Network:
    """eps = (1 + w) eps(x, conditions) - w eps(x, none) (Ho & Salimans 2022, eq. 6).

    `strength` is the paper's w. Libraries that write s eps_cond + (1 - s) eps_uncond have
    s = 1 + w. The combination is linear, so it's the same for every kind of prediction; x_0 is
    clipped after it.

    Args:
        network: what predicts. Both predictions are made in one call, of up to twice the batch.
        strength: float, w. 0 is the conditional model itself, at one evaluation; -1 is the
            unconditional one.
        null_label: int. The label that stands for no label; where no condition is given, an image
            costs one evaluation.
        guides_at: bool array `[T]`. At which timesteps guidance applies, as `within_interval` says;
            at the others an image costs one evaluation.

    Returns:
        What predicts with guidance.
    """
    strength = float(strength)  # a NumPy float64 would promote the network's float32
    if strength == 0:
        return network

    def guided_network(noisy_image, timestep, label, **more):
        conditions = Conditions(label, **more)
        # Without a condition, the two predictions would be the same.
        rows = np.flatnonzero(conditions.given(null_label) & guides_at[timestep])
        if not len(rows):
            return network(noisy_image, timestep, label, **more)
        conditions = conditions.beside(conditions[rows].null(null_label))
        prediction = network(
            np.concatenate([noisy_image, noisy_image[rows]]),
            np.concatenate([timestep, timestep[rows]]),
            conditions.label,
            **conditions.more,
        )
        # A copy: what a runtime hands out may be its own memory.
        conditional, unconditional = np.split(np.array(prediction), [len(timestep)])
        conditional[rows] = (1 + strength) * conditional[rows] - strength * unconditional
        return conditional

    return guided_network


def within_interval(noise_levels: np.ndarray, interval: tuple[float, float] | None) -> np.ndarray:
    """bool `[T]`: which timesteps have low < sigma <= high, by their noise levels `[T]`.

    Guidance is limited to these (Kynkäänniemi et al. 2024, eq. 5); None is everywhere.
    """
    low, high = interval or EVERYWHERE
    return (noise_levels > low) & (noise_levels <= high)
