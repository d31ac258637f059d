"""The contract between a network and all that samples with it: names, types, and the card.

A Denoiser is a callable, of arrays whose batch is of any size:

    noisy_image  float32 [B, H, W, C]   x_t, in the model's value range
    timestep     int32 [B]              0 is one noising step, T - 1 nearly pure noise
    label        int32 [B]              a class, or `card.null_label` for none
    prediction   float32 [B, H, W, C]   what `card.prediction_type` says

These are the names in every exported graph. The averaged network in training, an exported file in
any runtime, and an oracle in a test are all Denoisers: one loop samples from each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.prediction import Network

OUTPUT_NAME = "prediction"


class Denoiser(Protocol):
    """What images are sampled from: a prediction, and the card that says what it means."""

    @property
    def card(self) -> DenoiserCard:
        """What a sampling loop must know of the network."""
        ...

    def __call__(
        self, noisy_images: np.ndarray, timesteps: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """The prediction at x_t, float32 `[B, H, W, C]`."""
        ...


@dataclass(frozen=True)
class NetworkDenoiser:
    """A Denoiser made of a card and a function.

    Args:
        card: `DenoiserCard`.
        network: function from noisy images, timesteps and labels to the prediction.
    """

    card: DenoiserCard
    network: Network

    def __call__(
        self, noisy_images: np.ndarray, timesteps: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """See `Denoiser`; the function raises its own errors."""
        return self.network(noisy_images, timesteps, labels)
