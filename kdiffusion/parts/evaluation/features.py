"""What is read of images before anything is measured: features, and the class that a judge sees.

Features come from the judge of the data, or from any ONNX network: with Inception's weights the
distances are FID and KID. For data without a judge of its own, CIFAR-10's reads them.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from kdiffusion.artifacts.onnx_loader import open_session
from kdiffusion.atomic_files import sha256_of
from kdiffusion.commands.inputs import PositiveOrNone

from .judge import JUDGES, OUTPUTS, Judge, in_batches

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
WITHOUT_A_JUDGE = JUDGES / "cifar10.onnx"  # reads any image

# uint8 images [N, H, W, C] ► features [N, D]
Features = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What reads the images.

    Args:
        features: path of an ONNX network. By default the features of the data's classifier, or of
            CIFAR-10's where the data has none.
        feature_size: input height and width of that network, if its file doesn't fix them.
        feature_range: values that the network expects for pixels of 0 and 255.
        feature_output: name of the network's feature output, if it has several.
        judge: name or ONNX file of a classifier of real images; by default the data set's.
    """

    features: Path | None = None
    feature_size: PositiveOrNone = None
    feature_range: tuple[float, float] = (0.0, 255.0)
    feature_output: str | None = None
    judge: str | None = None


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads uint8 images: their features, and with a judge their classes.

    Attributes:
        name: str. Of the features, as the report shows it.
        identity: str. Equal only for the same features and classes of the same images.
        extract: function of uint8 images `[N, H, W, C]` that gives features `[N, D]`; None where
            they are the judge's.
        judge: Judge or None.
    """

    name: str
    identity: str
    extract: Features | None
    judge: Judge | None

    def __call__(
        self, images: np.ndarray, what: str = "", progress: bool = False, mirrored: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(float32 features `[N, D]`, int classes `[N]` or None) of uint8 images `[N, H, W, C]`.

        Args:
            images: array; sliced, so that it may lie on disk.
            what: str. The images in words, for the bar.
            progress: bool. Whether to show a bar.
            mirrored: bool. Whether left and right change places first.
        """

        def read(batch):
            batch = np.ascontiguousarray(batch[:, :, ::-1]) if mirrored else batch
            found = [] if self.extract is None else [self.extract(batch)]
            if self.judge is not None:
                logits, features = self.judge.read(batch)
                found += [features, logits.argmax(axis=1)]
            return found

        found = in_batches(read, images, f"Features of {what}", progress)
        return found[0].astype(np.float32), None if self.judge is None else found[-1]


def make_reader(reading: Reading, judge: Judge | None) -> Reader:
    """The reader that a user asks for, with the judge that was found."""
    path = reading.features
    if path is None and judge is not None:
        return Reader(f"judge {judge.name}.onnx", f"judge {judge.sha256}", None, judge)
    if path is None:
        path, reading = WITHOUT_A_JUDGE, Reading(feature_output=OUTPUTS[1])
    name, extract = open_network(path, reading)
    given = f"{name} {reading.feature_size} {tuple(reading.feature_range)}"
    digests = f"{sha256_of(path)} {judge and judge.sha256}"
    return Reader(name, f"{digests} {given}", extract, judge)


def open_network(path: Path, reading: Reading) -> tuple[str, Features]:
    """Features by a network in ONNX Runtime, and their name.

    The network has one input, `[B, H, W, C]` or `[B, C, H, W]`, of 1 or 3 channels, and takes a
    batch of any size. Grey images are given to a network of 3 channels three times. Images of
    another size are resampled: bicubic, smoothed where they shrink (Parmar et al. 2022).

    Args:
        path: path of the ONNX file.
        reading: Reading, of which the size, the range and the output count. Without a size, and
            where the network doesn't fix it, images keep theirs. A network whose input is uint8
            takes pixels as they are. The output is `[B, D]` or `[B, D, 1, 1]`.
    """
    size, output = reading.feature_size, reading.feature_output
    session = open_session(path)
    (taken,) = session.get_inputs()
    outputs = [value.name for value in session.get_outputs()]
    if output is None and len(outputs) > 1:
        raise ValueError(f"`feature_output` must be one of {outputs}, of {path}. Received: none")
    output = output or outputs[0]
    channels_first = taken.shape[3] not in (1, 3)
    axes = (2, 3, 1) if channels_first else (1, 2, 3)
    height, width, channels = (taken.shape[axis] for axis in axes)
    fixed = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    target = fixed or (size and (size, size))
    dtype, (low, high) = TYPES[taken.type], reading.feature_range

    def prepared(images):
        images = np.broadcast_to(images, (*images.shape[:3], channels))
        if target not in (None, images.shape[1:3]):
            images = np.stack([_resampled(image, target) for image in images])
        if dtype == np.uint8:
            images = np.clip(np.rint(images), 0, 255)
        else:
            images = low + images.astype(np.float32) * ((high - low) / 255.0)
        images = images.transpose(0, 3, 1, 2) if channels_first else images
        return np.ascontiguousarray(images, dtype)

    def extract(images):
        (features,) = session.run([output], {taken.name: prepared(images)})
        return features.reshape(features.shape[:2]) if features.ndim > 2 else features

    return f"{path.name}, output {output}", extract


def _resampled(image, size):
    """float32 `[h, w, C]`, not rounded, colour by colour: Pillow resamples floats that way."""
    height, width = size
    channels = [
        Image.fromarray(image[..., c].astype(np.float32)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for c in range(image.shape[-1])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
