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

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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


def as_denoiser(model: Any) -> Denoiser:
    """A Denoiser as it is, or that of a `DiffusionModel`."""
    return model.denoiser() if hasattr(model, "denoiser") else model


@dataclass(frozen=True)
class NetworkDenoiser:
    """A Denoiser made of a card and a function: one of a file, in any runtime, or your own.

    Args:
        card: `DenoiserCard`.
        network: function from noisy images (float32 `[B, H, W, C]`), timesteps and labels (int32
            `[B]`) to the prediction; of more conditions, if the card has them, by name.
        path: Path. The file that it was read from; None for others.
    """

    card: DenoiserCard
    network: Network
    path: Path | None = None

    def __call__(
        self, noisy_images: ArrayLike, timesteps: ArrayLike, labels: ArrayLike, **more: ArrayLike
    ) -> np.ndarray:
        """See `Denoiser`; raises ValueError for a label or a timestep outside the card's."""
        noisy_images = np.ascontiguousarray(noisy_images, np.float32)
        timesteps = _within("timesteps", timesteps, len(self.card.alphas_cumprod) - 1)
        labels = _within("labels", labels, self.card.null_label)
        if len(noisy_images) == 0:  # TensorFlow and LiteRT stop at a reshape of nothing
            return np.empty_like(noisy_images)
        arrays = {name: np.ascontiguousarray(each, np.float32) for name, each in more.items()}
        return self.network(noisy_images, timesteps, labels, **arrays)


def by_name(run: Callable[..., np.ndarray]) -> Network:
    """The network that a function of arrays by the contract's names is."""
    return lambda x, t, label, **more: run(noisy_image=x, timestep=t, label=label, **more)


def _within(name, values, largest):
    """int32 values from 0 to `largest`: of others some runtimes silently make numbers too."""
    values = np.asarray(values)
    if values.size and not 0 <= values.min() <= values.max() <= largest:
        raise ValueError(f"`{name}` must lie in [0, {largest}]. Received: {name}={values.tolist()}")
    return np.ascontiguousarray(values, np.int32)
