"""What an image is asked for by: a class, numbers, an image, each optional for a model.

A `Denoiser` is given them as arrays under the contract's names, in the order of `NULLS`:

    label    int32 [B]               a class, or the null label
    numbers  float32 [B, K]          in their own units, as the card names them; or NaN
    image    float32 [B, H, W, C']   in the model's value range; or zeros

All of an example are null together, as in training: that is what guidance leads away from.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard

# One whole number for each image: labels, seeds.
Integers = Sequence[int] | np.ndarray
# Classes by number or by name; one serves all images.
Labels = Integers | Sequence[str] | int | str
# Their names in the graph of a whole sampler, whose result is called image.
SAMPLER_INPUTS = {"numbers": "numbers", "image": "given_image"}


def nulls(null_label: int) -> dict[str, float]:
    """What each condition is where none is given."""
    return {"label": null_label, "numbers": np.nan, "image": 0.0}


@dataclass(frozen=True)
class Conditions:
    """The conditions of a batch, as arrays; None for those that the model doesn't have.

    Args:
        label: int32 `[B]`.
        numbers: float32 `[B, K]`.
        image: float32 `[B, H, W, C']`.
    """

    label: np.ndarray
    numbers: np.ndarray | None = None
    image: np.ndarray | None = None

    @property
    def more(self) -> dict[str, np.ndarray]:
        """Those beside the label, by name."""
        return {k: v for k, v in vars(self).items() if k != "label" and v is not None}

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(self.label[rows], **{k: v[rows] for k, v in self.more.items()})

    def null(self, null_label: int) -> Self:
        """As many of no condition."""
        empty = nulls(null_label)
        more = {k: np.full_like(v, empty[k]) for k, v in self.more.items()}
        return type(self)(np.full_like(self.label, null_label), **more)

    def drop_more(self, rows: np.ndarray) -> None:
        """Makes the conditions beside the label null, in place, where bool `[B]` rows are true."""
        for name, values in self.more.items():
            values[rows] = nulls(0)[name]

    def beside(self, other: Self) -> Self:
        """This batch and another as one."""
        more = {k: np.concatenate([v, other.more[k]]) for k, v in self.more.items()}
        return type(self)(np.concatenate([self.label, other.label]), **more)

    def given(self, null_label: int) -> np.ndarray:
        """bool `[B]`: where any condition is given."""
        given = self.label != null_label
        if self.numbers is not None:
            given = given | ~np.isnan(self.numbers).any(axis=1)
        if self.image is not None:
            given = given | self.image.any(axis=(1, 2, 3))
        return given


# Labels alone, or with more: {"label": Labels, "numbers": {name: numbers}, "image": images}.
Asked = Labels | Mapping[str, Any] | Conditions


def check_conditions(card: DenoiserCard, asked: Asked, count: int) -> Conditions:
    """What the caller asks for as `count` conditions; a single one of a kind serves all images.

    Where a label is null, the other conditions are null, too. They may be left out where all are.

    Args:
        card: `DenoiserCard`.
        asked: labels by number or name, or a dict with `label`, `numbers` (a dict from each name of
            the card's to a number or `[N]`) and `image` (`[H, W, C']` or `[N, H, W, C']`, uint8 or
            floats in [-1, 1]). A model without classes needs no label. `Conditions` stay as they
            are.
        count: int, N.

    Raises:
        ValueError: a condition that the model doesn't have, one that it has and that is missing, or
            one that can't be.
    """
    if isinstance(asked, Conditions):
        return asked
    asked = dict(asked) if isinstance(asked, Mapping) else {"label": asked}
    unknown = asked.keys() - nulls(0).keys()
    if unknown:
        raise ValueError(f"Conditions must be some of {[*nulls(0)]}. Received: {sorted(unknown)}")
    label = check_labels(card, asked.get("label", 0 if card.null_label == 0 else ()), count)
    more = {}
    for name, described, check in (
        ("numbers", card.numbers, _check_numbers),
        ("image", card.image, _check_image),
    ):
        value = asked.get(name)
        if value is not None and described is None:
            raise ValueError(f"`{name}` must be left out: this model has no such condition")
        if described is not None:
            more[name] = check(card, value, count)
    conditions = Conditions(label, **more)
    is_null = label == card.null_label if card.class_names else np.zeros(count, bool)
    missing = [name for name in more if asked.get(name) is None]
    if missing and not is_null.all() and (card.class_names or len(missing) < len(more)):
        raise ValueError(
            f"`{missing[0]}` must be given: this model is conditioned on {_described(card)}"
        )
    conditions.drop_more(is_null)
    return conditions


def trial_conditions(card: DenoiserCard, labels: Integers) -> Conditions:
    """Conditions to try a network with: numbers about their means, and images of noise.

    Args:
        card: `DenoiserCard`.
        labels: ints `[B]`. Where they are null, the others are, too; without classes, where they
            are the last.
    """
    rng, label = np.random.default_rng(0), np.asarray(labels, np.int32)
    numbers: Any = None
    image: Any = None
    if card.numbers is not None:
        mean, std = (np.array([getattr(n, k) for n in card.numbers]) for k in ("mean", "std"))
        numbers = np.float32(mean + std * rng.standard_normal((len(label), len(mean))))
    if card.image is not None:
        image = np.float32(rng.uniform(-1, 1, (len(label), *card.condition_shapes["image"])))
    some = Conditions(label, numbers, image)
    is_last = np.arange(len(label)) == len(label) - 1
    some.drop_more(label == card.null_label if card.class_names else is_last)
    return some


def _described(card):
    numbers = [number.name for number in card.numbers or ()]
    image = [f"an image ({card.image.meaning})"] if card.image is not None else []
    return ", ".join([*(["a class"] if card.class_names else []), *numbers, *image])


def _check_numbers(card, asked, count):
    """float32 `[N, K]` of a dict by name; NaN where it is None."""
    names = [number.name for number in card.numbers]
    if asked is None:
        return np.full((count, len(names)), np.nan, np.float32)
    if not isinstance(asked, Mapping) or {*asked} != {*names}:
        raise ValueError(
            f"`numbers` must be a dict with {names}. Received: "
            f"{sorted(asked) if isinstance(asked, Mapping) else reprlib.repr(asked)}"
        )
    columns = [np.broadcast_to(np.asarray(asked[name], np.float32), (count,)) for name in names]
    numbers = np.stack(columns, axis=1)
    if not np.isfinite(numbers).all():
        raise ValueError(f"`numbers` must be finite. Received: {reprlib.repr(asked)}")
    for number, column in zip(card.numbers, columns, strict=True):
        low, high = number.low, number.high
        if low is not None and high is not None and not low <= column.min() <= column.max() <= high:
            warnings.warn(
                f"`{number.name}` was between {low:g} and {high:g} in training. "
                f"Received: {column.min():g} to {column.max():g}",
                stacklevel=4,
            )
    return numbers


def _check_image(card, asked, count):
    """float32 `[N, H, W, C']` in the model's range; zeros where it is None."""
    shape = card.condition_shapes["image"]
    if asked is None:
        return np.zeros((count, *shape), np.float32)
    image = np.asarray(asked)
    if image.dtype == np.uint8:
        image = image.astype(np.float32) / 127.5 - 1.0
    fits = image.shape in (shape, (1, *shape), (count, *shape))
    if not fits or not np.all(np.abs(image) <= 1.0 + 2e-5):
        raise ValueError(
            f"`image` must be {shape} or {(count, *shape)}, uint8 or from -1.0 to 1.0. Received: "
            f"{image.shape} from {image.min()} to {image.max()}"
        )
    return np.array(np.broadcast_to(image, (count, *shape)), np.float32)


def check_labels(card: DenoiserCard, labels: Labels, count: int) -> np.ndarray:
    """`count` labels as int32 `[N]`, from numbers or names; a single label serves all."""
    checked = np.asarray(labels)
    if checked.dtype.kind == "U" and np.all(np.isin(checked, card.class_names)):
        by_name = {name: label for label, name in enumerate(card.class_names)}
        checked = np.vectorize(by_name.get, otypes=[np.int32])(checked)
    in_range = checked.dtype.kind in "iu" and np.all((checked >= 0) & (checked <= card.null_label))
    if not in_range:
        raise ValueError(
            f"`labels` must be integers from 0 to {card.null_label - 1}, or {card.null_label} for "
            f"no class, or names of classes: {reprlib.repr(list(card.class_names))}. "
            f"Received: labels={reprlib.repr(checked.tolist())}"
        )
    if checked.size not in (1, count):
        raise ValueError(
            f"`labels` must be one, or one for each of {count} seeds. Received: {checked.size}"
        )
    return np.broadcast_to(checked, count).astype(np.int32)
