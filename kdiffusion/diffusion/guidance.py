"""Classifier-free guidance (Ho & Salimans 2022): a network in, a network out."""

from __future__ import annotations

import numpy as np

from kdiffusion.diffusion.conditions import Conditions
from kdiffusion.diffusion.prediction import Network


def guided(
    network: Network,
    strength: float,
    null_label: int,
    *,
    interval: tuple[float, float] | None = None,
    noise_levels: np.ndarray | None = None,
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
        interval: `(low, high)`. Guidance applies where low < sigma <= high (Kynkäänniemi et al.
            2024, eq. 5); elsewhere an image costs one evaluation. None guides everywhere.
        noise_levels: float array `[T]`, sigma of each timestep; needed for `interval`.

    Returns:
        What predicts with guidance.
    """
    strength = float(strength)  # a NumPy float64 would promote the network's float32
    applies = None if interval is None else within_interval(np.asarray(noise_levels), interval)
    if strength == 0:
        return network

    def guided_network(noisy_image, timestep, label, **more):
        conditions = Conditions(label, **more)
        guides = conditions.given(null_label)  # elsewhere the two predictions would be the same
        if applies is not None:
            guides = guides & applies[timestep]
        rows = np.flatnonzero(guides)
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


def within_interval(noise_levels: np.ndarray, interval: tuple[float, float]) -> np.ndarray:
    """bool `[T]`: which timesteps have low < sigma <= high, by their noise levels `[T]`."""
    low, high = interval
    return (noise_levels > low) & (noise_levels <= high)
