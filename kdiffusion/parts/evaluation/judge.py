"""A judge: a classifier of real images in one ONNX file, which reads what a sample shows.

It runs in ONNX Runtime alone. The file has one input and two outputs:

    image     float32 [B, H, W, C], pixels 0 .. 255
    logits    float32 [B, classes]
    features  float32 [B, D], the inputs of the last layer

Its metadata holds, as JSON, `class_names` in the order of the logits, `image_shape`, `dataset`,
`accuracy` (the share of held-out images that it reads right, by kind) and `how_made`.
`python -m benchmarks.judge` of a checkout trains one.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kdiffusion.artifacts.integrity import ArtifactError
from kdiffusion.artifacts.onnx_loader import open_session
from kdiffusion.atomic_files import sha256_of

JUDGES = Path(__file__).parent / "judges"  # NAME.onnx of each that comes with the package
CARD_KEY = "kdiffusion_judge"
INPUT, OUTPUTS = "image", ("logits", "features")
BATCH_SIZE = 50  # images at a time: a network like Inception makes 299 x 299 of each


def in_batches(
    read: Callable[[np.ndarray], Sequence[np.ndarray]],
    images: np.ndarray,
    what: str = "",
    progress: bool = False,
) -> list[np.ndarray]:
    """The arrays `[N, ...]` that a function of images `[B, H, W, C]` gives batch by batch.

    Args:
        read: function that returns a list of arrays `[B, ...]`.
        images: array `[N, H, W, C]`; sliced, so that it may lie on disk.
        what: str. What is read, for the bar.
        progress: bool. Whether to show a bar.
    """
    firsts = range(0, len(images), BATCH_SIZE)
    bar = tqdm(firsts, what, unit=f"x{BATCH_SIZE} images", disable=not progress)
    pieces = [read(np.asarray(images[first : first + BATCH_SIZE])) for first in bar]
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


@dataclasses.dataclass(frozen=True)
class Judge:
    """An open judge; `load_judge` makes it.

    Attributes:
        name: str. The name of its file, without the ending.
        class_names: tuple of str, in the order of the logits.
        image_shape: `(height, width, channels)`.
        accuracy: dict from a kind of held-out image ("clean", "grain 10", ...) to the share, 0 ..
            1, of them that it reads right.
        sha256: str. Of its file.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    accuracy: dict[str, float]
    sha256: str
    session: Any = dataclasses.field(repr=False)

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(float32 `[N, classes]` logits, float32 `[N, D]` features) of uint8 `[N, H, W, C]`."""

        def run(batch):
            return self.session.run(list(OUTPUTS), {INPUT: batch.astype(np.float32)})

        logits, features = in_batches(run, images)
        return logits, features


def judge_names() -> list[str]:
    """Names of the judges that come with the package, each a data set's (and a suffix, if any)."""
    return sorted(path.stem for path in JUDGES.glob("*.onnx"))


def find_judge(
    dataset: str, image_shape: tuple[int, ...], class_names: Sequence[str]
) -> Judge | None:
    """The package's judge of a data set, if it reads these images and classes."""
    if dataset not in judge_names():
        return None
    judge = load_judge(dataset)
    fits = (judge.image_shape, judge.class_names) == (tuple(image_shape), tuple(class_names))
    return judge if fits else None


def load_judge(path_or_name: str | os.PathLike) -> Judge:
    """Opens a judge.

    Args:
        path_or_name: path of its ONNX file, or the name of one that comes with the package.

    Raises:
        ArtifactError: no judge.
    """
    path = Path(path_or_name)
    if path.suffix != ".onnx":
        path = JUDGES / f"{path_or_name}.onnx"
    session = open_session(path)
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ArtifactError(f"{path} is no classifier that `python -m benchmarks.judge` wrote")
    card = json.loads(text)
    return Judge(
        path.stem, tuple(card["class_names"]), tuple(card["image_shape"]), card["accuracy"],
        sha256_of(path), session,
    )  # fmt: skip
