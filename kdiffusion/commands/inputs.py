"""What the commands that sample take: the model, the classes, the sampling options, images."""

import dataclasses
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from tyro.constructors import PrimitiveConstructorSpec

from kdiffusion.condition_images import with_hole
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import Conditions, Integers, check_conditions
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.images import fit_image, read_image, to_model_range


def from_to(least: int, most: float = math.inf) -> PrimitiveConstructorSpec:
    """In an `Annotated[int, from_to(1)]`: the bounds of an option that is a whole number."""

    def read(words):
        if not least <= int(words[0]) <= most:
            bounds = f"from {least} to {most}" if math.isfinite(most) else f"{least} or more"
            raise ValueError(f"must be {bounds}. Received: {words[0]}")
        return int(words[0])

    return PrimitiveConstructorSpec(
        1, "INT", read, lambda value: isinstance(value, int | None), lambda value: [str(value)]
    )


Positive = Annotated[int, from_to(1)]
PositiveOrNone = Annotated[int | None, from_to(1)]
# A word, not a Path, which would make `./digits`, a file, into `digits`, the pretrained model.
Artifact = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
Model = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="MODEL",
        help="an exported file or folder, a run's folder, a pretrained model's name "
        "(`kdiffusion models` lists them), or a model on the Hugging Face Hub, hf://owner/name.",
    ),
]
Trust = Annotated[bool, tyro.conf.arg(help="open a SavedModel, which can run arbitrary code.")]
Labels = tuple[str, ...]
LabelsOrAll = tuple[str, ...] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling(SamplingOptions):
    """How to sample. By default, as the model recommends.

    Args:
        batch_size: images per batch. It doesn't change the images.
    """

    clip: Annotated[
        bool,
        tyro.conf.arg(
            help="don't clip the predicted image to the pixel range at each step.",
            help_behavior_hint="",
        ),
    ] = True
    batch_size: Positive = 64

    def described(self, card: DenoiserCard) -> str:
        """Sampler, steps and guidance in words, as they are for this card."""
        options = self.resolve(card)
        return (
            f"{options.sampler}, {options.steps} steps, "
            f"guidance strength {options.guidance_strength:g}"
        )


@dataclasses.dataclass(frozen=True)
class Given:
    """What the model is conditioned on beside a class, if it is.

    Args:
        numbers: NAME=VALUE of each of its numbers.
        condition_images: image file, or a folder of images, of which each class gets all.
    """

    numbers: tuple[str, ...] = ()
    condition_images: Path | None = None

    def read(self, card: DenoiserCard, value: Callable[[str], Any] = float) -> dict[str, Any]:
        """The conditions beside labels that are given: `numbers`, and `image` `[N, H, W, C']`.

        Args:
            card: `DenoiserCard`.
            value: function that reads the VALUE of a number.
        """
        given: dict[str, Any] = {}
        if self.numbers:
            pairs = (text.partition("=") for text in self.numbers)
            given["numbers"] = {name: value(text) for name, _, text in pairs}
        if self.condition_images is not None:
            path = self.condition_images
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            given["image"] = np.stack([read_condition_image(file, card) for file in files])
        return given


def each_with_each(card: DenoiserCard, labels: Integers, given: Mapping[str, Any]) -> Conditions:
    """Each label with each of the images that `Given.read` gives, and with its numbers."""
    images = given.get("image", [None])
    asked = {"label": np.repeat(np.asarray(labels, np.int32), len(images)), **given}
    if "image" in given:
        asked["image"] = np.concatenate([images] * len(labels))
    return check_conditions(card, asked, len(asked["label"]))


def ends_from_text(text: str) -> tuple[float, float]:
    """Reads `FIRST:LAST`, or one number that is both."""
    first, _, last = text.partition(":")
    return float(first), float(last or first)


def read_condition_image(path: Path, card: DenoiserCard) -> np.ndarray:
    """Reads an image to condition on, grey or RGB as the card says.

    What a file leaves transparent is what a model that fills holes in, of one channel more, fills.
    """
    if card.image is None:
        raise ValueError("`condition_images` must be left out: this model has no such condition")
    pixels = read_image(path, card.image.channels)
    if card.image.channels in (1, 3):
        return to_model_range(pixels)
    return with_hole(to_model_range(pixels[..., :-1]), pixels[..., -1:] < 128)


ALL_CLASSES = "all"
NO_CLASS = "none"


def labels_from_text(texts: Sequence[str] | None, class_names: Sequence[str]) -> list[int]:
    """Reads class names, label numbers, `all` and `none`.

    A name comes first: where classes are called "3" and "none", those are these names.

    Args:
        texts: strings, each `all`, `none` (the label for no class), a class name (capitals matter
            only between classes that differ in nothing else) or a label, of which the number of
            classes is that for no class. None: of all classes.
        class_names: strings; label i is `class_names[i]`.

    Returns:
        list of ints, in the order given.
    """
    every, no_class = [*range(len(class_names))], len(class_names)
    if texts is None:
        return every or [no_class]
    labels_of = {ALL_CLASSES: every, NO_CLASS: [no_class]}
    labels_of |= {str(label): [label] for label in (*every, no_class)}
    labels_of |= {_folded(name): [label] for label, name in enumerate(class_names)}
    labels_of |= {name: [label] for label, name in enumerate(class_names)}
    labels = []
    for text in texts or [""]:  # none given is none that there is
        found = labels_of.get(text) or labels_of.get(_folded(text))
        if found is None:
            raise ValueError(
                f"`labels` must be `all`, `{NO_CLASS}`, numbers in [0, {no_class}] or "
                f"some of {list(class_names)}. Received: {text!r}"
            )
        labels += found
    return labels


def _folded(name):
    """A name without capitals, its accents stored in one way."""
    return unicodedata.normalize("NFC", name).casefold()


def read_given_image(path: str | Path, card: DenoiserCard, resize: bool = False) -> np.ndarray:
    """Reads an image file in the shape and range of a model, grey or RGB as the model is.

    Args:
        path: path of a file of one of `kdiffusion.images.FILE_FORMATS`.
        card: DenoiserCard.
        resize: bool. Whether an image of another size is cropped about its centre and resampled.
            Defaults to `False`.

    Returns:
        float32 array `[H, W, C]` in the card's value range.

    Raises:
        ValueError: not an image, or of another size and `resize` is False.
    """
    return to_model_range(_read_fitted(path, card, resize, card.image_shape[2]))


def read_mask(path: str | Path, card: DenoiserCard, resize: bool = False) -> np.ndarray:
    """Reads which pixels to paint anew: those that are white (at least half) in an image file.

    Args:
        path, card, resize: as for `read_given_image`.

    Returns:
        bool array `[H, W]`: True is painted anew, as in most other tools.
    """
    return _read_fitted(path, card, resize, 1)[..., 0] >= 128


def _read_fitted(path, card, resize, channels):
    pixels, (height, width, _) = read_image(path, channels), card.image_shape
    if pixels.shape[:2] != (height, width) and not resize:
        raise ValueError(
            f"{path} must be {width}x{height} pixels; `--resize` crops and resamples it. "
            f"Received: {pixels.shape[1]}x{pixels.shape[0]} pixels"
        )
    return fit_image(pixels, (height, width))
