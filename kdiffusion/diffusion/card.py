"""The card of a denoiser: what an exported model says about itself, as JSON inside the artifact."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.checks import check_number, whole_number
from kdiffusion.diffusion.guidance import check_strength, within_interval
from kdiffusion.diffusion.prediction import check_prediction_type
from kdiffusion.diffusion.samplers import SAMPLERS, find_sampler
from kdiffusion.diffusion.schedules import NoiseSchedule

# A reader refuses another version, and opens every minor version of its own: what a newer one adds,
# an older reader may leave aside.
CARD_VERSION = 1
CARD_MINOR_VERSION = 3
MINOR_VERSION_KEY = "format_minor_version"  # in the JSON text alone; 0 where it is missing
ADDED_IN_MINOR_VERSION = {
    "data_split": 1,
    "parent": 2,
    "guidance_interval": 3,
}  # the other fields are those of minor version 0


class CardError(ValueError):
    """A card that is missing, damaged, from a newer version, or contradicts itself."""


@dataclass(frozen=True, kw_only=True)
class DataSplit:
    """How a data set was split into training and validation images: `load_dataset`'s arguments.

    Args:
        seed: int, >= 0. Decides which images are held out.
        validation_fraction: float in (0, 1). Share held out, where the data set has no split of its
            own.
        sha256: str of 64 hexadecimal digits, `ImageDataset.content_hash` of both parts; None where
            it isn't known.

    Raises:
        CardError: says which field is wrong, and why.
    """

    seed: int
    validation_fraction: float
    sha256: str | None = None

    def __post_init__(self):
        _require(
            _is_whole(self.seed) and self.seed >= 0,
            "data_split.seed", "a whole number, 0 or more", self.seed,
        )  # fmt: skip
        fraction = self.validation_fraction
        is_number = isinstance(fraction, (int, float)) and not isinstance(fraction, bool)
        _require(
            is_number and 0 < fraction < 1,
            "data_split.validation_fraction", "a number above 0 and below 1", fraction,
        )  # fmt: skip
        digest = self.sha256
        _require(
            digest is None or (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)),
            "data_split.sha256", "64 hexadecimal digits, or None", digest,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parent:
    """What the first weights of a training were.

    Args:
        name: str. Of the run's folder or the file.
        sha256: str of 64 hexadecimal digits. Of the file, or of the run's weights.

    Raises:
        CardError: says which field is wrong, and why.
    """

    name: str
    sha256: str

    def __post_init__(self):
        _require(isinstance(self.name, str), "parent.name", "a string", self.name)
        _require(
            isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}", self.sha256),
            "parent.sha256", "64 hexadecimal digits", self.sha256,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DenoiserCard:
    """All that a sampling loop needs to know of a denoiser, and where it came from.

    Args:
        image_shape: `(height, width, channels)`; channels 1 or 3.
        class_names: tuple of str, in the order of the labels.
        null_label: int. The label for no class; the number of classes.
        prediction_type: str. "epsilon", "x0" or "v".
        alphas_cumprod: tuple of float, the noise schedule.
        dataset: str. What it was trained on.
        preset: str. The recipe it was trained with.
        images_seen: int. Training images, counted with repetition.
        ema_decay: float, 0 .. 1, of the average that the weights are.
        sampler: str. Recommended sampler, a key of `SAMPLERS`.
        steps: int, 1 .. T. Recommended number of steps.
        guidance_strength: float. Recommended strength, the w of Ho & Salimans 2022.
        guidance_interval: `(low, high)`. Noise levels sigma between which guidance is recommended
            (Kynkäänniemi et al. 2024). None is everywhere, and what files of minor versions before
            3 have.
        data_split: `DataSplit`, or its fields as a dict: which images it was trained on and which
            were held out. None where that isn't known, as in files of minor version 0.
        parent: `Parent`, or its fields as a dict: what the first weights were. None where they were
            random, and in files of minor versions before 2.
        value_range: `(low, high)` of pixels; version 1 knows `(-1.0, 1.0)` only.
        format_version: int. Version of this list of fields.

    Raises:
        CardError: says which field is wrong, and why.
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
    data_split: DataSplit | None = None
    parent: Parent | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    format_version: int = CARD_VERSION

    def __post_init__(self):
        _check_version(self.format_version)
        try:
            for name in ("image_shape", "class_names", "alphas_cumprod", "value_range"):
                value = getattr(self, name)
                value = value.tolist() if isinstance(value, np.ndarray) else value
                _require(isinstance(value, (tuple, list)), name, "a tuple or a list", value)
                object.__setattr__(self, name, tuple(value))
            self._check_images()
            self._check_process()
            self._check_origin()
        except (TypeError, ValueError, OverflowError) as error:
            raise error if isinstance(error, CardError) else CardError(str(error)) from error

    def _check_images(self):
        shape = self.image_shape
        are_sizes = len(shape) == 3 and all(_is_whole(size) and size > 0 for size in shape)
        _require(
            are_sizes and shape[-1] in (1, 3),
            "image_shape", "a positive height and width, and 1 or 3 channels", shape,
        )  # fmt: skip
        _require(self.value_range == (-1.0, 1.0), "value_range", "(-1.0, 1.0)", self.value_range)
        names = self.class_names
        are_names = all(isinstance(name, str) for name in names)
        _require(
            len(names) > 0 and are_names and len(set(names)) == len(names),
            "class_names", "different strings, at least one", names,
        )  # fmt: skip
        _require(
            _is_whole(self.null_label) and self.null_label == len(names),
            "null_label", f"the number of classes, {len(names)}", self.null_label,
        )  # fmt: skip

    def _check_process(self):
        need = "finite numbers"
        alphas = [check_number("alphas_cumprod", value, need) for value in self.alphas_cumprod]
        object.__setattr__(self, "alphas_cumprod", tuple(alphas))
        check_prediction_type(self.prediction_type, self.schedule)
        find_sampler(self.sampler)
        most = len(self.alphas_cumprod)
        _require(
            _is_whole(self.steps) and 1 <= self.steps <= most,
            "steps", f"a whole number from 1 to {most}", self.steps,
        )  # fmt: skip
        check_strength(self.guidance_strength)
        if self.guidance_interval is not None:
            within_interval(self.schedule.noise_levels, self.guidance_interval)
            # JSON has no infinity; None is everywhere.
            need = "two finite numbers, or None for everywhere"
            interval = [check_number("guidance_interval", e, need) for e in self.guidance_interval]
            object.__setattr__(self, "guidance_interval", tuple(interval))

    def _check_origin(self):
        for name in ("dataset", "preset"):
            _require(isinstance(getattr(self, name), str), name, "a string", getattr(self, name))
        _require(
            _is_whole(self.images_seen) and self.images_seen >= 0,
            "images_seen", "a whole number, 0 or more", self.images_seen,
        )  # fmt: skip
        check_number("ema_decay", self.ema_decay, "a number from 0 to 1", 0, 1)
        for name, part in (("data_split", DataSplit), ("parent", Parent)):
            value = getattr(self, name)
            if isinstance(value, dict):
                known = [field.name for field in dataclasses.fields(part)]
                given: dict[str, Any] = {key: value.get(key) for key in known}
                value = part(**given)  # refuses a None by name
                object.__setattr__(self, name, value)
            _require(
                value is None or isinstance(value, part),
                name, f"a {part.__name__}, or None", value,
            )  # fmt: skip

    @functools.cached_property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule that the denoiser was trained with."""
        return NoiseSchedule(np.array(self.alphas_cumprod))

    def to_json(self) -> str:
        """The card as JSON text; float64 numbers come back bit for bit."""
        fields = {**dataclasses.asdict(self), MINOR_VERSION_KEY: CARD_MINOR_VERSION}
        return json.dumps(fields, indent=1, allow_nan=False, default=_to_python)

    @classmethod
    def from_json(cls, text: str | bytes) -> DenoiserCard:
        """The card in JSON text, of this minor version or any other.

        A recommended sampler that this version lacks is replaced by `ddim`, with a warning: any
        sampler serves any denoiser.

        Raises:
            CardError: when the text isn't a card, or is one of a version not known here.
        """
        try:
            fields = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise CardError(f"The card must be JSON text. Received: {text[:80]!r}") from error
        if not isinstance(fields, dict) or "format_version" not in fields:
            raise CardError("The card must be a JSON object with a `format_version`.")
        _check_version(fields["format_version"])  # first: a newer version may have other fields
        minor_version = fields.pop(MINOR_VERSION_KEY, 0)
        _require(
            _is_whole(minor_version) and minor_version >= 0,
            MINOR_VERSION_KEY, "a whole number, 0 or more", minor_version,
        )  # fmt: skip
        known = {field.name for field in dataclasses.fields(cls)}
        needed = {name for name in known if ADDED_IN_MINOR_VERSION.get(name, 0) <= minor_version}
        missing, unknown = needed - set(fields), set(fields) - known
        if missing or (unknown and minor_version <= CARD_MINOR_VERSION):
            raise CardError(
                f"The card must have the fields of version {CARD_VERSION}.{minor_version}. "
                f"Missing: {sorted(missing)}, unknown: {sorted(unknown)}"
            )
        sampler = fields["sampler"]
        if isinstance(sampler, str) and sampler not in SAMPLERS:
            fields["sampler"] = "ddim"
            warnings.warn(
                f"The file recommends the sampler {sampler!r}, which this version lacks: unless "
                f"another is asked for, ddim is used. Known are {', '.join(SAMPLERS)}.",
                stacklevel=2,
            )
        return cls(**{name: value for name, value in fields.items() if name in known})


def _check_version(version) -> None:
    if not _is_whole(version) or version != CARD_VERSION:
        raise CardError(
            f"`format_version` must be {CARD_VERSION}, the version that this kdiffusion reads; "
            "a file of a newer version needs a newer kdiffusion. "
            f"Received: format_version={version!r}"
        )


def _require(condition: object, name: str, need: str, value) -> None:
    if not condition:
        raise CardError(f"`{name}` must be {need}. Received: {name}={value!r}")


def _is_whole(value) -> bool:
    return whole_number(value) is not None


def _to_python(value):
    """A NumPy number as a Python one, for `json`."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"A card field must be plain data. Received: {value!r}")
