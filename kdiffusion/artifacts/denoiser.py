"""What every exported file becomes when it is opened: a Denoiser with its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from kdiffusion.diffusion.card import CardError, DenoiserCard


class ArtifactError(ValueError):
    """An exported file that cannot be written or used; the message names the file and the need."""


@dataclasses.dataclass(frozen=True)
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


def card_from_text(text: str | bytes | None, path: Path) -> DenoiserCard:
    """The card that a file carries as JSON.

    Raises:
        ArtifactError: no card, one of a newer version, or one whose numbers do not validate.
    """
    if not text:
        raise ArtifactError(f"{path} has no kdiffusion card: kdiffusion did not export it")
    try:
        return DenoiserCard.from_json(text)
    except CardError as error:
        raise ArtifactError(f"{path} carries a card that cannot be used: {error}") from error
