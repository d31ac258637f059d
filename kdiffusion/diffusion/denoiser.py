"""The contract between a network and all that samples with it: names, types, and the card.

A Denoiser is a callable, of arrays whose batch is of any size:

    noisy_image  float32 [B, H, W, C]   x_t, in the model's value range
    timestep     int32 [B]              0 is one noising step, T - 1 nearly pure noise
    label        int32 [B]              a class, or `card.null_label` for none
    numbers      float32 [B, K]         where the card has them: in their units, or NaN for none
    image        float32 [B, H, W, C']  where the card has it: in that range, or zeros for none
    prediction   float32 [B, H, W, C]   what `card.prediction_type` says

These are the names in every exported graph. The averaged network in training, an exported file in
any runtime, and an oracle in a test are all Denoisers: one loop samples from each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

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
        self,
        noisy_images: np.ndarray,
        timesteps: np.ndarray,
        labels: np.ndarray,
        **more: np.ndarray,
    ) -> np.ndarray:
        """The prediction at x_t, float32 `[B, H, W, C]`; `more` are numbers and image."""
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
        self,
        noisy_images: np.ndarray,
        timesteps: np.ndarray,
        labels: np.ndarray,
        **more: np.ndarray,
    ) -> np.ndarray:
        """See `Denoiser`; the function raises its own errors."""
        return self.network(noisy_images, timesteps, labels, **more)


@dataclass(frozen=True)
class LoadedDenoiser:
    """A denoiser read from an exported file, callable on NumPy arrays whatever its runtime.

    Args:
        card: DenoiserCard. What the file says about itself.
        path: Path. Where it was read from.
        predict: callable on arrays by the names of the graph's inputs, `noisy_image` (float32
            `[B, H, W, C]`), `timestep` and `label` (int32 `[B]`), that returns float32
            `[B, H, W, C]`: the runtime.
    """

    card: DenoiserCard
    path: Path
    predict: Callable[..., np.ndarray]

    def __call__(
        self, noisy_images: ArrayLike, timesteps: ArrayLike, labels: ArrayLike
    ) -> np.ndarray:
        """Predicts what `card.prediction_type` says from noisy images.

        Args:
            noisy_images: array `[B, H, W, C]`: x_t in the card's value range.
            timesteps: int array `[B]`, each in [0, T - 1].
            labels: int array `[B]`, each a class or `card.null_label`.

        Returns:
            float32 array `[B, H, W, C]`.

        Raises:
            ValueError: a label or a timestep outside the card's.
        """
        noisy_images = np.ascontiguousarray(noisy_images, np.float32)
        timesteps = _within("timesteps", timesteps, len(self.card.alphas_cumprod) - 1)
        labels = _within("labels", labels, self.card.null_label)
        if len(noisy_images) == 0:  # TensorFlow and LiteRT stop at a reshape of nothing
            return np.empty_like(noisy_images)
        return self.predict(noisy_image=noisy_images, timestep=timesteps, label=labels)


def _within(name, values, largest):
    """int32 values from 0 to `largest`: of others some runtimes silently make numbers too."""
    values = np.asarray(values)
    if values.size and not 0 <= values.min() <= values.max() <= largest:
        raise ValueError(f"`{name}` must lie in [0, {largest}]. Received: {name}={values.tolist()}")
    return np.ascontiguousarray(values, np.int32)
