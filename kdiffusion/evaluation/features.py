"""What is read of images before anything is measured: features, and the class that a judge sees.

Features come from the judge, from any ONNX network (with Inception's weights the distances are FID
and KID), or from `FEATURES`, which need no network and see less: `pixels` knows layout and colour,
not texture; `random_conv` knows texture and contrast, not the object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from kdiffusion.artifacts.onnx_loader import open_session
from kdiffusion.files import sha256_of
from kdiffusion.images import to_model_range

from .judge import Judge, in_batches

CHUNK = 500  # images at a time
NETWORK_BATCH = 50  # a network like Inception makes 299 x 299 of each
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
OF_JUDGE = "judge"

# uint8 images [N, H, W, C] ► features [N, D]
Features = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads uint8 images: their features, and with a judge their classes.

    Attributes:
        name: str. Of the features, as the report shows it.
        identity: str. Equal only for the same features of the same images, but for those of
            `FEATURES`, which are fitted to a data set.
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
        features, classes = [], []
        bar = tqdm(total=len(images), desc=f"Features of {what}", disable=not progress)
        for first in range(0, len(images), CHUNK):
            chunk = np.asarray(images[first : first + CHUNK])
            chunk = np.ascontiguousarray(chunk[:, :, ::-1]) if mirrored else chunk
            of_chunk = None if self.extract is None else self.extract(chunk)
            if self.judge is not None:
                logits, of_judge = self.judge.read(chunk)
                of_chunk = of_judge if of_chunk is None else of_chunk
                classes.append(logits.argmax(axis=1))
            features.append(np.asarray(of_chunk, np.float32))
            bar.update(len(chunk))
        bar.close()
        return np.concatenate(features), np.concatenate(classes) if classes else None


def make_reader(
    features: str | None,
    judge: Judge | None,
    images: np.ndarray | None,
    size: int | None = None,
    value_range: tuple[float, float] = (0.0, 255.0),
    output: str | None = None,
) -> Reader:
    """The reader that a user asks for.

    Args:
        features: `judge`, a key of `FEATURES`, the path of an ONNX network; or None for the judge's
            if there is one, else `random_conv`.
        judge: Judge or None.
        images: uint8 array `[N, H, W, C]` of real images, to which `FEATURES` are fitted; None
            where there are none.
        size, value_range, output: of an ONNX network, as for `open_network`.
    """
    features = features or (OF_JUDGE if judge else "random_conv")
    if features.endswith(".onnx"):
        name, extract = open_network(Path(features), size, value_range, output)
        sha256 = sha256_of(Path(features))
        return Reader(name, f"{sha256} {name} {size} {tuple(value_range)}", extract, judge)
    if features == OF_JUDGE and judge is not None:
        return Reader(f"judge {judge.name}.onnx", f"judge {judge.sha256}", None, judge)
    if features not in FEATURES or images is None:
        without = "" if judge else "; there is no judge of this data (--judge names one)"
        fitted = "" if images is None else f", {', '.join(FEATURES)}"
        raise ValueError(
            f"`features` must be {OF_JUDGE}{fitted} or the path of an ONNX network{without}. "
            f"Received: features={features!r}"
        )
    return Reader(features, features, FEATURES[features](images), judge)


def open_network(
    path: Path,
    size: int | None = None,
    value_range: tuple[float, float] = (0.0, 255.0),
    output: str | None = None,
) -> tuple[str, Features]:
    """Features by a network in ONNX Runtime, and their name.

    The network has one input, `[B, H, W, C]` or `[B, C, H, W]`, of 1 or 3 channels, and takes a
    batch of any size. Grey images are given to a network of 3 channels three times. Images of
    another size are resampled: bicubic, smoothed where they shrink (Parmar et al. 2022).

    Args:
        path: path of the ONNX file.
        size: int. Height and width that images are brought to, where the network doesn't fix them;
            the images' own if None.
        value_range: (low, high): pixels of 0 and of 255 become these. A network whose input is
            uint8 takes pixels as they are. Defaults to `(0, 255)`.
        output: str. Name of the output with the features, `[B, D]` or `[B, D, 1, 1]`; may be left
            out where there is only one.
    """
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
    dtype, (low, high) = TYPES[taken.type], value_range

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
        def run(batch):
            return session.run([output], {taken.name: prepared(batch)})

        (features,) = in_batches(run, images, NETWORK_BATCH)
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


def fit_pixels(images: np.ndarray, dimensions: int = 32, side: int = 8) -> Features:
    """Principal components of small images: layout and colour (Turk & Pentland 1991).

    Images are averaged over blocks down to at most `side` pixels a side, in -1 .. 1, and projected
    on the directions in which the given ones vary most. A distance is in squared units of pixels.

    Args:
        images: uint8 array `[N, H, W, C]` of real images, more than `dimensions`.
        dimensions: int. Components kept; fewer where there are fewer pixels. Defaults to `32`.
        side: int. Pixels. Defaults to `8`.

    Returns:
        A function of uint8 images `[N, H, W, C]` that gives float64 `[N, dimensions]`.
    """
    small = _in_chunks(lambda chunk: _averaged(chunk, side), images)
    mean = small.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(small, rowvar=False))
    directions = vectors[:, ::-1][:, :dimensions]  # [pixels, dimensions], most variance first
    return lambda x: _in_chunks(lambda chunk: (_averaged(chunk, side) - mean) @ directions, x)


def fit_random_conv(
    images: np.ndarray, widths: Sequence[int] = (16, 32), seed: int = 0
) -> Features:
    """Responses of random filters: texture and contrast (Ustyuzhaninov et al. 2017).

    For each width: 3x3 filters drawn from N(0, 2 / fan-in), a ReLU, and the mean and the standard
    deviation of each filter over the image; then images are halved by averaging. Last, the
    means of the four quarters. All are scaled by one number, so that their variances over the given
    images sum to 1. (Not each by its own: a filter that hardly ever responds would count most.)

    Args:
        images: uint8 array `[N, H, W, C]` of real images, 8 pixels a side at least.
        widths: ints. Filters in each layer. Defaults to `(16, 32)`.
        seed: int. Of the filters. Defaults to `0`.

    Returns:
        A function of uint8 images `[N, H, W, C]` that gives float64 `[N, D]`,
        D = 2 sum(widths) + 4 widths[-1].
    """
    rng = np.random.default_rng(seed)
    kernels, channels = [], images.shape[-1]
    for width in widths:
        fan_in = 9 * channels
        kernels.append(rng.normal(0.0, np.sqrt(2.0 / fan_in), (fan_in, width)))
        channels = width

    def respond(batch):
        x, features = to_model_range(batch), []
        for kernel in kernels:
            x = np.maximum(_patches(x) @ kernel, 0.0)  # [B, H, W, width]
            features += [x.mean(axis=(1, 2)), x.std(axis=(1, 2))]
            x = _block_means(x, 2, 2)
        height, width = x.shape[1] // 2, x.shape[2] // 2
        quarters = [
            part.mean(axis=(1, 2))
            for rows in (x[:, :height], x[:, height:])
            for part in (rows[:, :, :width], rows[:, :, width:])
        ]
        return np.concatenate([*features, *quarters], axis=1)

    responses = _in_chunks(respond, images)
    mean, scale = responses.mean(axis=0), np.sqrt(responses.var(axis=0).sum())
    return lambda x: (_in_chunks(respond, x) - mean) / scale


# Each takes uint8 images [N, H, W, C], real ones, and gives a Features.
FEATURES: dict[str, Callable[..., Features]] = {
    "pixels": fit_pixels,
    "random_conv": fit_random_conv,
}


def _in_chunks(function, images):
    firsts = range(0, len(images), CHUNK)
    return np.concatenate([function(np.asarray(images[n : n + CHUNK])) for n in firsts])


def _averaged(images, side):
    """float64 `[B, h w C]` in -1 .. 1, h and w at most `side`; what does not divide is cut."""
    height, width = (-(-size // side) for size in images.shape[1:3])
    means = to_model_range(_block_means(images.astype(np.float64), height, width))
    return means.reshape(len(images), -1)


def _block_means(x, height, width):
    """Means over blocks of that many pixels; rows and columns left over are cut off."""
    rows, columns = x.shape[1] // height, x.shape[2] // width
    x = x[:, : rows * height, : columns * width]
    return x.reshape(len(x), rows, height, columns, width, -1).mean(axis=(2, 4))


def _patches(x):
    """The 3x3 surroundings of every pixel, the edge repeated: `[B, H, W, 9 C]`."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows.reshape(*x.shape[:3], -1)
