"""A judge: a classifier of real images, in one ONNX file, that reads what a drawn image shows.

It runs in ONNX Runtime alone. The file has one input and two outputs:

    image     float32 [B, H, W, C], pixels 0 .. 255
    logits    float32 [B, classes]
    features  float32 [B, D], what the last layer sees

and its card, a `JudgeCard` as JSON, in its metadata.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.onnx_session import open_session, run_in_batches

JUDGES = Path(__file__).parent / "judges"  # NAME.onnx for each data set that has one
CARD_KEY = "kdiffusion_judge"
INPUT, OUTPUTS = "image", ("logits", "features")

UNSEALED = 64 * "0"
_SEAL = re.compile(rb'"sha256": "([^"]{64})"')


class JudgeError(ValueError):
    """A judge that is not there, is damaged, or does not fit what it is asked to read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeCard:
    """What a judge says of itself.

    Args:
        class_names: tuple of str, in the order of the logits.
        image_shape: `(height, width, channels)`.
        dataset: str. What it was fitted to.
        accuracy: dict from a kind of held-out image ("clean", "grain 10", ...) to the share, 0 ..
            1, of them that it reads right.
        how_made: str. The command, the seed and the machine.
        sha256: str. Of the file, this place filled with zeros; `seal_judge` puts it in.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    dataset: str
    accuracy: dict[str, float]
    how_made: str
    sha256: str = UNSEALED

    def __post_init__(self):
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        names, shape = self.class_names, self.image_shape
        if len(names) < 2 or len(set(names)) < len(names):
            raise JudgeError(
                f"`class_names` must be two or more different names. Received: {names}"
            )
        if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
            raise JudgeError(
                f"`image_shape` must be (height, width, channels). Received: image_shape={shape}"
            )
        if not all(0 <= share <= 1 for share in self.accuracy.values()):
            raise JudgeError(f"`accuracy` must be shares, 0 .. 1. Received: {self.accuracy}")

    def to_json(self) -> str:
        """The card as JSON text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> JudgeCard:
        """The card in JSON text; fields of a newer version are passed over.

        Raises:
            JudgeError: the text is not a card.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            return cls(**{key: value for key, value in json.loads(text).items() if key in known})
        except (TypeError, ValueError, AttributeError) as error:
            raise JudgeError(f"A judge's card cannot be used: {error}") from error


class Judge:
    """A judge that is open; `load_judge` makes it.

    Attributes:
        card: JudgeCard.
        path: Path of its file.
        identity: str. SHA-256 of its file.
    """

    def __init__(self, card: JudgeCard, path: Path, session: Any):
        self.card, self.path, self._session = card, path, session
        self.identity = hashlib.sha256(path.read_bytes()).hexdigest()

    def read(self, images: np.ndarray, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """What the judge makes of images.

        Args:
            images: uint8 array `[N, H, W, C]` of the card's shape.
            progress: bool. Whether to show a bar.

        Returns:
            (float32 `[N, classes]` logits, float32 `[N, D]` features).

        Raises:
            JudgeError: images of another type or shape, or a file that can't read its own.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.card.image_shape:
            raise JudgeError(
                f"`images` must be uint8 [N, {', '.join(map(str, self.card.image_shape))}], as the "
                f"judge {self.path.name} reads. Received: {images.dtype} of shape {images.shape}"
            )

        def run(batch):
            try:
                return self._session.run(list(OUTPUTS), {INPUT: batch.astype(np.float32)})
            except Exception as error:  # ONNX Runtime's errors share no base class
                raise JudgeError(
                    f"{self.path} must read images of its card's shape, {self.card.image_shape}: "
                    f"{error}"
                ) from error

        logits, features = run_in_batches(run, images, "Judging", progress)
        return logits, features

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 `[N, classes]` of uint8 images `[N, H, W, C]`."""
        return self.read(images)[0]

    def features(self, images: np.ndarray) -> np.ndarray:
        """float32 `[N, D]` of uint8 images `[N, H, W, C]`."""
        return self.read(images)[1]


def judge_names() -> list[str]:
    """Names of the judges that come with the package, each a data set's (and a suffix, if any)."""
    return sorted(path.stem for path in JUDGES.glob("*.onnx"))


def find_judge(
    dataset: str, image_shape: tuple[int, int, int], class_names: Sequence[str]
) -> str | None:
    """The judge that comes with the package and reads these classes, by name; None without one.

    Args:
        dataset: str. The data set's name.
        image_shape: `(height, width, channels)`.
        class_names: sequence of str.
    """
    for name in judge_names():
        if name != dataset:
            continue
        card = load_judge(name).card
        if (card.image_shape, card.class_names) == (tuple(image_shape), tuple(class_names)):
            return name
    return None


def load_judge(path_or_name: str | os.PathLike) -> Judge:
    """Opens a judge.

    Args:
        path_or_name: path of its ONNX file, or the name of one that comes with the package.

    Returns:
        Judge.

    Raises:
        JudgeError: there is none, the file is damaged, or it is no judge.
    """
    path = Path(path_or_name)
    if path.suffix != ".onnx":
        path = JUDGES / f"{path_or_name}.onnx"
    if not path.is_file():
        raise JudgeError(
            f"`judge` must be an ONNX file that is there, or one of {judge_names()}. "
            f"Received: judge={str(path_or_name)!r}"
        )
    session = open_session(path, JudgeError)
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if inputs != [INPUT] or not set(OUTPUTS) <= set(outputs) or text is None:
        raise JudgeError(
            f"{path} is no judge: it must have the input {INPUT}, the outputs "
            f"{' and '.join(OUTPUTS)}, and a card. Received: inputs {inputs}, outputs {outputs}, "
            f"{'no card' if text is None else 'a card'}"
        )
    check_seal(path)
    return Judge(JudgeCard.from_json(text), path, session)


def seal_judge(path: Path) -> None:
    """Puts the SHA-256 of a judge's file into the place that its card leaves for it.

    Args:
        path: path of the ONNX file, whose metadata holds the text of an unsealed `JudgeCard`.

    Raises:
        JudgeError: the file has no such place, or several.
    """
    path = Path(path)
    content = path.read_bytes()
    places = _SEAL.findall(content)
    if places != [UNSEALED.encode()]:
        raise JudgeError(f"{path} must have one place for its seal. Received: {len(places)}")
    path.write_bytes(_SEAL.sub(b'"sha256": "%s"' % _digest(content), content))


def check_seal(path: Path) -> None:
    """Refuses a file that is not sealed, or whose bytes are not those that were sealed."""
    content = Path(path).read_bytes()
    if set(_SEAL.findall(content)) != {_digest(content)}:
        raise JudgeError(
            f"{path} is no judge, is damaged, or was changed by another tool: its SHA-256 is not "
            "the one in its card"
        )


def _digest(content):
    unsealed = _SEAL.sub(b'"sha256": "%s"' % UNSEALED.encode(), content)
    return hashlib.sha256(unsealed).hexdigest().encode()
