"""Classifier-free guidance (Ho & Salimans 2022): a Denoiser in, a Denoiser out."""

from __future__ import annotations

import numpy as np

from kdiffusion.diffusion.prediction import Denoiser


def guided(denoiser: Denoiser, strength: float, null_label: int) -> Denoiser:
    """eps = (1 + w) eps(x, label) - w eps(x, null) (Ho & Salimans 2022, eq. 6).

    `strength` is the paper's w. Libraries that write s eps_cond + (1 - s) eps_uncond have
    s = 1 + w. The combination is linear, so it's the same for every kind of prediction; x_0 is
    clipped after it.

    Args:
        denoiser: a Denoiser. Both predictions are made in one call, of twice the batch.
        strength: float, w. 0 is the conditional model itself, at one evaluation; -1 is the
            unconditional one.
        null_label: int. The label that stands for no label.

    Returns:
        A Denoiser.
    """
    check_strength(strength)
    if strength == 0:
        return denoiser

    strength = float(strength)  # a NumPy float64 would promote the network's float32

    def guided_denoiser(noisy_image, timestep, label):
        conditional, unconditional = np.split(
            np.asarray(
                denoiser(
                    np.concatenate([noisy_image, noisy_image]),
                    np.concatenate([timestep, timestep]),
                    np.concatenate([label, np.full_like(label, null_label)]),
                )
            ),
            2,
        )
        return (1 + strength) * conditional - strength * unconditional

    return guided_denoiser


def check_strength(strength: float) -> None:
    """Refuses a guidance strength that is NaN, infinite or below -1 (the unconditional model)."""
    if not (np.isfinite(strength) and strength >= -1):
        raise ValueError(
            "`guidance_strength` must be a finite number of at least -1; 0 is the plain model. "
            f"Received: guidance_strength={strength}"
        )
