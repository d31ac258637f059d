"""Features by any ONNX network, given by its path: with Inception's weights, those of the FID."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from kdiffusion.files import sha256_of
from kdiffusion.onnx_session import open_session, run_in_batches

BATCH_SIZE = 50  # images at a time: a network like Inception makes 299 x 299 of them
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxFeatures:
    """A network from images to features, open in ONNX Runtime.

    The network has one input, `[B, H, W, C]` or `[B, C, H, W]`, of 1 or 3 channels; a size that it
    leaves open is the images' own. Grey images are given to a network of 3 channels three times.
    Images of another size are resampled: bicubic, smoothed where they shrink (Parmar et al. 2022).

    Args:
        path: path of the ONNX file.
        size: int. Height and width that images are brought to; what the network fixes, or the
            images' own, if not given.
        value_range: (low, high): what a pixel of 0 and one of 255 become. A network whose input is
            uint8 takes pixels as they are. Defaults to `(0, 255)`.
        output: str. Name of the output with the features, `[B, D]` or `[B, D, 1, 1]`; may be left
            out where there is only one.

    Raises:
        ValueError: the file cannot be read, or has another kind of input or output.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        size: int | None = None,
        value_range: tuple[float, float] = (0.0, 255.0),
        output: str | None = None,
    ):
        self.path = Path(path)
        if not self.path.is_file():
            raise ValueError(f"`features` must be a file that is there. Received: {self.path}")
        self._session = open_session(self.path)
        self._read_input(size)
        self.output = self._find_output(output)
        low, high = (float(value) for value in value_range)
        if not np.isfinite([low, high]).all() or low == high:
            raise ValueError(
                "`value_range` must be two different numbers. "
                f"Received: value_range={tuple(value_range)}"
            )
        if self._type == np.uint8 and (low, high) != (0.0, 255.0):
            raise ValueError(
                f"`value_range` must be (0, 255): {self.path.name} takes uint8 pixels. "
                f"Received: value_range={(low, high)}"
            )
        self._range = low, high

    @property
    def identity(self) -> str:
        """str: what features of this network are known by; equal only for the same features."""
        content = self.path.read_bytes()
        total = hashlib.sha256(content)
        for file in _files_beside(self.path, content):
            total.update(bytes.fromhex(sha256_of(file)))
        return f"onnx {total.hexdigest()} {self.output} {self._size} {self._range}"

    def __call__(self, images: ArrayLike, progress: bool = False) -> np.ndarray:
        """float32 `[N, D]` of uint8 images `[N, H, W, C]`.

        Raises:
            ValueError: images, or a size of them, that the network doesn't take.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
            raise ValueError(
                "`images` must be uint8 [N, H, W, C], one at least. "
                f"Received: {images.dtype} of shape {images.shape}"
            )
        if images.shape[-1] not in {1, self._channels}:
            raise ValueError(
                f"`images` must have {self._channels} channels, as {self.path.name} takes. "
                f"Received: images of shape {images.shape}"
            )
        name = self._session.get_inputs()[0].name

        def run(batch):
            prepared = self._prepared(batch)
            try:
                return self._session.run([self.output], {name: prepared})
            except Exception as error:  # ONNX Runtime's errors share no base class
                raise ValueError(
                    f"{self.path} must take images of this size; `--feature-size` brings them to "
                    f"another. Received: an input of shape {prepared.shape}, from images of shape "
                    f"{images.shape[1:]}. {error}"
                ) from error

        (features,) = run_in_batches(run, images, "Features", progress, BATCH_SIZE)
        if features.ndim == 4 and features.shape[2:] == (1, 1):  # pooled, and not yet flattened
            features = features[..., 0, 0]
        if features.ndim != 2 or len(features) != len(images):
            raise ValueError(
                f"The output {self.output!r} of {self.path.name} must be one row of features an "
                f"image, [{len(images)}, D]. Received: shape {features.shape}"
            )
        return features

    def _read_input(self, size):
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if inputs else []
        channels_last = len(shape) == 4 and shape[3] in (1, 3)
        channels_first = len(shape) == 4 and shape[1] in (1, 3) and not channels_last
        if len(inputs) != 1 or inputs[0].type not in TYPES or not (channels_last or channels_first):
            found = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
            raise ValueError(
                f"{self.path} must have one input, [B, H, W, C] or [B, C, H, W] with 1 or 3 "
                f"channels, of {', '.join(TYPES)}. Received: {found or 'none'}"
            )
        self._type, self._channels_first = TYPES[inputs[0].type], channels_first
        self._channels = shape[1] if channels_first else shape[3]
        if isinstance(shape[0], int):
            raise ValueError(
                f"{self.path} must take a batch of any size: export it with a dynamic first "
                f"dimension. Received: an input of shape {shape}"
            )
        fixed = tuple(shape[2:] if channels_first else shape[1:3])
        if all(isinstance(side, int) for side in fixed):
            if size is not None and fixed != (size, size):
                raise ValueError(
                    f"`size` must be what {self.path.name} takes, {fixed[0]} by {fixed[1]}. "
                    f"Received: size={size}"
                )
            self._size = fixed
        else:
            self._size = None if size is None else (size, size)

    def _find_output(self, output):
        names = [value.name for value in self._session.get_outputs()]
        if output is None and len(names) == 1:
            return names[0]
        if output not in names:
            raise ValueError(
                f"`output` must be one of the outputs of {self.path.name}, {', '.join(names)}. "
                f"Received: output={output!r}"
            )
        return output

    def _prepared(self, images):
        images = np.broadcast_to(images, (*images.shape[:3], self._channels))
        if self._size not in (None, images.shape[1:3]):
            images = np.stack([_resampled(image, self._size) for image in images])
        if self._type == np.uint8:
            images = np.clip(np.rint(images), 0, 255)
        else:
            low, high = self._range
            images = low + images.astype(np.float32) * ((high - low) / 255.0)
        if self._channels_first:
            images = images.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(images, self._type)


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


def _files_beside(path, content):
    """The files that a graph keeps weights in, as those above 2 GB must, in order.

    They are named in `external_data` of its tensors (onnx.proto): an entry of the key `location`
    and of the file's name. They are looked for without onnx, which evaluating doesn't need.
    """
    names = set()
    for match in re.finditer(rb"\x0a\x08location\x12([\x01-\x7f])", content):
        names.add(content[match.end() : match.end() + match[1][0]].decode("utf-8", "replace"))
    return [file for name in sorted(names) if (file := path.parent / name).is_file()]
