"""What images are turned into before anything is measured: features, and what a judge reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .cache import digest
from .features import FEATURES
from .judge import Judge
from .onnx_features import OnnxFeatures

CHUNK = 1000  # images at a time
OF_JUDGE = "judge"


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads uint8 images by a network, or by fitted features, and by a judge.

    Attributes:
        name: str. Of the features, as a reader of the report knows them.
        features_identity: str. Equal only where the same images give the same features.
        extract: function of uint8 images `[N, H, W, C]` that gives features `[N, D]`; None where
            they are the judge's.
        judge: Judge, or None: then nothing is read.
    """

    name: str
    features_identity: str
    extract: Callable[[np.ndarray], np.ndarray] | None
    judge: Judge | None

    @property
    def identity(self) -> str:
        """str: equal only where the same images give the same features and readings."""
        if self.judge is None or self.extract is None:  # features that are the judge's, too
            return self.features_identity
        return f"{self.features_identity} {self.judge.sha256}"

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(float32 features `[N, D]`, int64 readings `[N]` or None) of uint8 images."""
        if self.judge is None:
            extract: Any = self.extract  # without a judge there is one
            return np.asarray(extract(images), np.float32), None
        if self.extract is None:
            logits, features = self.judge.read(images)
        else:
            logits, features = self.judge.read(images)[0], self.extract(images)
        return np.asarray(features, np.float32), logits.argmax(axis=1)

    def read_all(
        self,
        batches: Iterable[np.ndarray],
        count: int,
        description: str,
        mirrored: bool = False,
        progress: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """As a call, of images that come in batches and are not kept.

        Args:
            batches: iterable of uint8 arrays `[B, H, W, C]`.
            count: int. Of all images, for the bar.
            description: str. What the bar says.
            mirrored: bool. Whether left and right change places first.
            progress: bool. Whether to show a bar.
        """
        features, readings = [], []
        with tqdm(total=count, desc=description, unit="image", disable=not progress) as bar:
            for batch in batches:
                of_batch, read = self(
                    np.ascontiguousarray(batch[:, :, ::-1]) if mirrored else batch
                )
                features.append(of_batch)
                readings.append(read)
                bar.update(len(batch))
        found = None if self.judge is None else np.concatenate(readings)
        return np.concatenate(features), found


def make_reader(
    features: str,
    judge: Judge | None,
    images: np.ndarray | None,
    size: int | None = None,
    value_range: tuple[float, float] = (0.0, 255.0),
    output: str | None = None,
) -> Reader:
    """The reader that a user asks for.

    Args:
        features: `judge`, a key of `FEATURES`, or the path of an ONNX network.
        judge: Judge or None.
        images: uint8 array `[N, H, W, C]` of real images, which some features are fitted to; None
            where there are none.
        size: of the network's input, as for `OnnxFeatures`; so are `value_range` and `output`.

    Raises:
        ValueError: no such features, or features that need what is not there.
    """
    by_network = str(features).endswith(".onnx")
    if not by_network and (size, tuple(value_range), output) != (None, (0.0, 255.0), None):
        raise ValueError(
            "The size, range and output of features are for an ONNX network given by its path. "
            f"Received: features={features!r}"
        )
    if by_network:
        network = OnnxFeatures(features, size, value_range, output)
        name = f"{Path(features).name}, output {network.output}"
        return Reader(name, network.identity, network, judge)
    if features == OF_JUDGE:
        if judge is None:
            raise ValueError(
                "`features` cannot be the judge's: there is no judge of this data set, or it is "
                f"not known which. Name one by `--judge`, or choose {_without_judge(images)}. "
                "Received: features='judge'"
            )
        return Reader(f"judge {judge.name}", f"judge {judge.sha256}", None, judge)
    if features not in FEATURES:
        raise ValueError(
            f"`features` must be {OF_JUDGE}, {', '.join(FEATURES)} or the path of an ONNX network, "
            f"NAME.onnx. Received: features={features!r}"
        )
    if images is None:
        raise ValueError(
            f"`features` cannot be {features}, which are fitted to real images: there are only "
            "statistics of some. Choose the judge's or an ONNX network. "
            f"Received: features={features!r}"
        )
    fitted = FEATURES[features](images)
    return Reader(features, f"{features} {digest(images)}", fitted, judge)


def _without_judge(images):
    fitted = () if images is None else tuple(FEATURES)
    return " or ".join([*fitted, "the path of an ONNX network"])


def chunks(images: np.ndarray) -> Iterator[np.ndarray]:
    """An array of images in pieces, for `Reader.read_all`."""
    return (images[first : first + CHUNK] for first in range(0, len(images), CHUNK))
