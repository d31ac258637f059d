"""The card of a denoiser: what an exported model says about itself, as JSON inside the artifact."""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.diffusion.forward_process import VARIANCES, NoiseSchedule
from kdiffusion.diffusion.prediction import check_prediction_type
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.spacing import SPACINGS, pairs_between
from kdiffusion.tables import check_name

# A reader refuses another version, and opens every minor version of its own: what a newer one adds,
# an older reader may leave aside. Minor version 1 added `data_split`, 2 `parent`, 3
# `guidance_interval`, 4 `timesteps` to `variance`, 5 `numbers` and `image`.
CARD_VERSION = 1
CARD_MINOR_VERSION = 5
MINOR_VERSION_KEY = "format_minor_version"  # in the JSON text alone; 0 where it is missing


@dataclass(frozen=True, kw_only=True)
class DataSplit:
    """How a data set was split into training and validation images: `load_dataset`'s arguments.

    A data set of TFDS with a test split ignores both numbers. `sha256` tells which images were held
    out there, too.

    Args:
        seed: int, >= 0. Decides which images are held out.
        validation_fraction: float in (0, 1). Share held out.
        sha256: str of 64 hexadecimal digits, `ImageDataset.content_hash` of both parts; None where
            it isn't known.
    """

    seed: int
    validation_fraction: float
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Parent:
    """What the first weights of a training were.

    Args:
        name: str. Of the run's folder or the file.
        sha256: str of 64 hexadecimal digits. Of the file, or of the run's weights.
    """

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number that a denoiser is conditioned on, in a unit of the user's.

    Args:
        name: str.
        mean, std: float. Of the training images; by these the network standardises it.
        low, high: float. The range among the training images; None where it isn't known.
        unit: str. Such as "degrees"; empty where it has none.
    """

    name: str
    mean: float
    std: float
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class ConditionImage:
    """An image that a denoiser is conditioned on, of the height and width of the result.

    Args:
        channels: int.
        meaning: str. What it shows, such as "downsampled".
    """

    channels: int
    meaning: str


@dataclass(frozen=True, kw_only=True)
class DenoiserCard:
    """What a sampling loop needs to know about a denoiser, and where it came from.

    Args:
        image_shape: `(height, width, channels)`; channels 1 or 3.
        class_names: tuple of str, in the order of the labels.
        null_label: int. The label for no class; the number of classes.
        prediction_type: str. "epsilon", "x0" or "v".
        alphas_cumprod: tuple of float, the noise schedule.
        dataset: str. What it was trained on.
        preset: str. The recipe it was trained with.
        images_seen: int. Training images, counted with repetition.
        ema_decay: float, 0 .. 1. Decay of the weights' moving average.
        sampler: str. Recommended sampler, a key of `SAMPLERS`.
        steps: int, 1 .. T. Recommended number of steps.
        timesteps: tuple of int, falling. Recommended timesteps, `steps` of them. None for those of
            `spacing`, and in files before minor version 4.
        coefficients: tuple of `(c0, c1, c2, c3)`, one for each of `timesteps`, of the sampler that
            `fit_sampler` fitted to the model. None without such a sampler.
        spacing: str, a key of `SPACINGS`. Places the timesteps, if `timesteps` is None.
        clip: bool. Whether the predicted image is clipped to `value_range` at each step.
        variance: str, of `VARIANCES`. Variance of the noise that "ddpm" adds.
        guidance_strength: float. Recommended strength, the w of Ho & Salimans 2022.
        guidance_interval: `(low, high)`. Noise levels sigma between which guidance is recommended
            (Kynkäänniemi et al. 2024). None means everywhere, as in files before minor version 3.
        data_split: `DataSplit`, or its fields as a dict: which images it was trained on and which
            were held out. None if that isn't known, as in files of minor version 0.
        parent: `Parent`, or its fields as a dict: the weights that training started from. None if
            they were random, and in files before minor version 2.
        numbers: tuple of `Number`, or their fields as dicts: what numbers it is conditioned on.
            None without them, and in files before minor version 5.
        image: `ConditionImage`, or its fields as a dict: an image that it is conditioned on. None
            without one, and in files before minor version 5.
        value_range: `(low, high)` of pixels; always `(-1.0, 1.0)` in version 1.
        format_version: int. Version of this list of fields.

    Raises:
        ValueError: a field is wrong; the message names it.
    """

    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    null_label: int
    prediction_type: str
    alphas_cumprod: tuple[float, ...] = dataclasses.field(repr=False)  # a page of numbers
    dataset: str
    preset: str
    images_seen: int
    ema_decay: float
    sampler: str
    steps: int
    guidance_strength: float
    guidance_interval: tuple[float, float] | None = None
    timesteps: tuple[int, ...] | None = None
    coefficients: tuple[tuple[float, ...], ...] | None = None
    spacing: str = "trailing"
    clip: bool = True
    variance: str = "fixed_small"
    data_split: DataSplit | None = None
    parent: Parent | None = None
    numbers: tuple[Number, ...] | None = None
    image: ConditionImage | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    format_version: int = CARD_VERSION

    def __post_init__(self):
        _check_version(self.format_version)
        for names, convert in (
            ("data_split", _part(DataSplit)),
            ("parent", _part(Parent)),
            ("image", _part(ConditionImage)),
            ("numbers", _each(_part(Number))),
            ("null_label images_seen steps", operator.index),
            ("ema_decay guidance_strength", float),
            ("class_names", _each(str)),
            ("image_shape timesteps", _each(int)),
            ("alphas_cumprod value_range guidance_interval", _each(float)),
            ("coefficients", _each(_each(float))),
        ):
            for name in names.split():
                value = getattr(self, name)
                if value is not None:
                    object.__setattr__(self, name, convert(value))
        if self.null_label != len(self.class_names):
            raise ValueError(
                f"`null_label` must be the number of classes, {len(self.class_names)}. "
                f"Received: null_label={self.null_label!r}"
            )
        if self.value_range != (-1.0, 1.0):
            raise ValueError(f"`value_range` must be (-1.0, 1.0). Received: {self.value_range}")
        check_prediction_type(self.prediction_type, self.schedule)
        check_name("spacing", self.spacing, SPACINGS)
        check_name("variance", self.variance, VARIANCES)
        if self.timesteps is not None and len(self.timesteps) != self.steps:
            raise ValueError(
                f"`steps` must be the number of `timesteps`, {len(self.timesteps)}. "
                f"Received: steps={self.steps!r}"
            )
        if self.coefficients is not None and len(self.coefficients) != len(self.timesteps or ()):
            raise ValueError(
                "`coefficients` must be one row for each of `timesteps`. "
                f"Received: {len(self.coefficients)} rows for timesteps={self.timesteps}"
            )
        recommended = SamplingOptions().resolve(self)
        object.__setattr__(self, "guidance_interval", recommended.guidance_interval)

    @functools.cached_property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule that the denoiser was trained with."""
        return NoiseSchedule(np.array(self.alphas_cumprod))

    @property
    def condition_shapes(self) -> dict[str, tuple[int, ...]]:
        """The conditions beside the label, in order: of each the shape of one example."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.numbers is not None:
            shapes["numbers"] = (len(self.numbers),)
        if self.image is not None:
            shapes["image"] = (*self.image_shape[:2], self.image.channels)
        return shapes

    def corrections(self, pairs: list[tuple[int, int]]) -> dict[int, tuple[float, ...]]:
        """t ► the coefficients of the step from t; those of other steps than `pairs` don't serve.

        Raises:
            ValueError: `pairs` aren't among the steps that they were fitted to, if there are any.
        """
        steps = pairs_between(self.timesteps) if self.timesteps and self.coefficients else []
        rows = dict(zip(steps, self.coefficients or (), strict=True))
        if not rows.keys() >= set(pairs):
            raise ValueError(
                "`timesteps` of the sampler 'fitted' must be those that `kdiffusion fit_sampler` "
                f"fitted it to, {[t for t, _ in steps] or 'of which this model has none'}; other "
                f"samplers take any. Received: timesteps={[t for t, _ in pairs]}"
            )
        return {t: rows[t, s] for t, s in pairs}

    def to_json(self) -> str:
        """The card as JSON text; float64 numbers come back bit for bit."""
        fields = {**dataclasses.asdict(self), MINOR_VERSION_KEY: CARD_MINOR_VERSION}
        # NumPy's numbers, which may be among the fields, become Python's.
        return json.dumps(fields, indent=1, allow_nan=False, default=lambda number: number.item())

    @classmethod
    def from_json(cls, text: str | bytes) -> DenoiserCard:
        """The card in JSON text, of this minor version or any other.

        A recommended sampler that this version lacks is replaced by `ddim`, with a warning: any
        sampler serves any denoiser.

        Raises:
            ValueError: when the text isn't a card, or is one of a version not known here.
        """
        try:
            fields = json.loads(text)
            _check_version(fields["format_version"])  # first: a newer one may have other fields
            facts = _known(cls, fields)
            if facts["sampler"] not in SAMPLERS:
                warnings.warn(
                    f"The file recommends the sampler {facts['sampler']!r}, which this version "
                    "lacks. It uses ddim unless you choose another.",
                    stacklevel=2,
                )
                facts["sampler"] = "ddim"
            return cls(**facts)
        except (LookupError, TypeError) as error:
            raise ValueError(f"Not a card ({error!r}). Received: {text[:80]!r}") from error


def _known(kind, values) -> dict[str, Any]:
    """Those of the values that are fields of a dataclass: a newer minor version may have more."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _each(convert):
    return lambda values: tuple(map(convert, values))


def _part(kind):
    """What makes a part of a card of its fields."""
    return lambda part: kind(**_known(kind, part)) if isinstance(part, dict) else part


def _check_version(version):
    if version != CARD_VERSION:
        raise ValueError(
            f"`format_version` must be {CARD_VERSION}: a file of a newer version needs a newer "
            f"kdiffusion. Received: format_version={version!r}"
        )
