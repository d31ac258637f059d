"""Between an exported file and the sampling loop: names, errors and the loaded Denoiser."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kdiffusion.diffusion.card import CardError, DenoiserCard

if TYPE_CHECKING:
    from kdiffusion.diffusion.prediction import Network

MOST_CARD_BYTES = 2**24  # a card of 1000 timesteps and 1000 classes has some 50,000


class ArtifactError(ValueError):
    """An exported file that cannot be written or used; the message names the file and the need."""


@dataclasses.dataclass(frozen=True)
class LoadedDenoiser:
    """A denoiser read from an exported file, callable on NumPy arrays whatever its runtime.

    Args:
        card: DenoiserCard. What the file says about itself.
        path: Path. Where it was read from.
        predict: callable on (float32 `[B, H, W, C]`, int32 `[B]`, int32 `[B]`) that returns
            float32 `[B, H, W, C]`: the runtime.
    """

    card: DenoiserCard
    path: Path
    predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

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
            ValueError: arrays of other shapes, or a label or timestep outside the card's.
        """
        noisy_images = np.ascontiguousarray(noisy_images, dtype=np.float32)
        if noisy_images.shape[1:] != self.card.image_shape:
            raise ValueError(
                f"`noisy_images` must have shape [B, *{self.card.image_shape}]. "
                f"Received: noisy_images of shape {noisy_images.shape}"
            )
        batch = noisy_images.shape[0]
        last_timestep = len(self.card.alphas_cumprod) - 1
        timesteps = _integers("timesteps", timesteps, batch, last_timestep)
        labels = _integers("labels", labels, batch, self.card.null_label)
        if batch == 0:  # TensorFlow and LiteRT stop at a reshape of nothing
            return np.empty_like(noisy_images)
        return self.predict(noisy_images, timesteps, labels)


def _integers(name, values, batch, largest):
    values = np.asarray(values)
    if values.shape != (batch,) or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"`{name}` must be {batch} integers, one per image. "
            f"Received: {name} of shape {values.shape} and type {values.dtype}"
        )
    if batch and not 0 <= values.min() <= values.max() <= largest:
        raise ValueError(f"`{name}` must lie in [0, {largest}]. Received: {name}={values.tolist()}")
    return np.ascontiguousarray(values, dtype=np.int32)


def check_shape(card: DenoiserCard, declared: Sequence[int | None], path: Path) -> None:
    """Refuses a card of other images than the graph takes.

    Args:
        card: DenoiserCard.
        declared: `[B, H, W, C]` of the graph's first input; a size that is no positive number is
            not known before it runs.
        path: Path. The file, for the error.
    """
    known = [
        wanted if not isinstance(size, int | np.integer) or size <= 0 else int(size)
        for size, wanted in zip(declared[1:], card.image_shape, strict=False)
    ]
    if len(declared) != 4 or tuple(known) != card.image_shape:
        raise ArtifactError(
            f"{path} carries the card of another network: its `image_shape` must be that of the "
            f"graph, {tuple(known)}. Received: image_shape={card.image_shape}"
        )


def check_label_rows(card: DenoiserCard, rows: set[int], path: Path) -> None:
    """Refuses a card of other classes than its graph, whose tables a label chooses rows from.

    Args:
        card: DenoiserCard.
        rows: set of int. How many rows they have; empty where labels choose in another way.
        path: Path. The file, for the error.
    """
    if rows - {card.null_label + 1}:
        raise ArtifactError(
            f"{path} carries the card of another network: the graph knows {max(rows) - 1} classes, "
            f"and no class. Received: null_label={card.null_label}"
        )


def check_last_label(card: DenoiserCard, path: Path, predict: Callable[[int], np.ndarray]) -> None:
    """Refuses a card of fewer classes than its graph, where the runtime doesn't show its tables.

    A table ends: labels far beyond it all fail, or (on a GPU) all read the same nothing. The label
    after the card's last one must be such a label. A graph that computes with labels has no end.

    Args:
        card: DenoiserCard.
        path: Path. The file, for the error.
        predict: callable from a label to an array.
    """
    after, far, farther = (
        _or_none(predict, label) for label in (card.null_label + 1, 2**29, 2**30)
    )
    if after is None:
        return
    has_end = far is None or (farther is not None and _alike(far, farther))
    if has_end and (far is None or not _alike(after, far)):
        raise ArtifactError(
            f"{path} carries the card of another network: the graph knows more classes than the "
            f"card. Received: null_label={card.null_label}"
        )


def _or_none(predict, label):
    try:
        return predict(label)
    except Exception:  # runtimes' errors share no base class; that it fails is the answer
        return None


def _alike(first, second):
    return np.allclose(first, second, rtol=1e-5, atol=1e-6, equal_nan=True)


def one_image(card: DenoiserCard, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(noisy_images, timesteps, labels)` of one grey image, to see whether a graph takes it."""
    image = np.zeros((1, *card.image_shape), np.float32)
    return image, np.array([len(card.alphas_cumprod) - 1], np.int32), np.array([label], np.int32)


def opened(card: DenoiserCard, path: Path, predict: Network) -> LoadedDenoiser:
    """A LoadedDenoiser, once one prediction showed that its graph knows all of the card's labels.

    Args:
        card, path, predict: as of `LoadedDenoiser`.

    Raises:
        ArtifactError: a graph of fewer classes, or one that predicts something else than images.
    """
    denoiser = LoadedDenoiser(card, path, predict)
    image, timestep, label = one_image(card, card.null_label)
    try:
        prediction = denoiser(image, timestep, label)
    except Exception as error:  # runtimes' errors share no base class
        raise ArtifactError(
            f"{path} carries the card of another network: its graph predicts nothing for the "
            f"card's image_shape={card.image_shape} and null_label={card.null_label}: {error}"
        ) from error
    if prediction.shape != image.shape or prediction.dtype != np.float32:
        raise ArtifactError(
            f"{path} must predict float32 {image.shape}. "
            f"Received: {prediction.dtype} {prediction.shape}"
        )
    return denoiser


def card_from_text(text: str | bytes | None, path: Path) -> DenoiserCard:
    """Reads the card that a file carries.

    Args:
        text: str, UTF-8 bytes or None. The card as JSON; None when the file has none.
        path: Path. The file, for the error.

    Returns:
        DenoiserCard.

    Raises:
        ArtifactError: no card, a card of another version, or one whose numbers do not validate.
    """
    if not text:
        raise ArtifactError(
            f"{path} carries no denoiser card, so its schedule and classes are unknown: "
            "export it again with `python -m kdiffusion export RUN_DIR`"
        )
    if len(text) > MOST_CARD_BYTES:
        raise ArtifactError(
            f"{path} must carry a card of at most {MOST_CARD_BYTES} bytes. Received: {len(text)}"
        )
    try:
        return DenoiserCard.from_json(text)
    except CardError as error:
        raise ArtifactError(
            f"{path} carries a denoiser card that cannot be used: {error}"
        ) from error


def check_names(
    kind: str, found: Iterable[str], wanted: Iterable[str], path: str | os.PathLike
) -> None:
    """Refuses a graph whose inputs or outputs are not exactly the contract's.

    A constant that an exporter did not freeze appears as one more input, which nothing would feed.
    """
    if sorted(found) != sorted(wanted):
        raise ArtifactError(
            f"{path} must have exactly the {kind} {', '.join(wanted)}. "
            f"Received: {', '.join(found) or 'none'}"
        )


def import_runtime(module: str, path: str | os.PathLike, package: str) -> ModuleType:
    """Imports the library that a format needs, which sampling from the other formats does not.

    Args:
        module: str. Name to import.
        path: Path. The exported file, for the error.
        package: str. What to install.

    Returns:
        The module.

    Raises:
        ArtifactError: the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        other = "" if str(path).endswith(".onnx") else ", or use the ONNX file of the same run"
        raise ArtifactError(
            f"{path} needs a library that is not installed: `pip install {package}`{other}"
        ) from error
