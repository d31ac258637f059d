"""Fashion-MNIST (Xiao et al. 2017) and MNIST, from their own four files or by TFDS."""

import gzip
import os
from pathlib import Path

import numpy as np

from kdiffusion.images import ImageSize, fit_image

from . import tfds
from .image_dataset import ImageDataset, Images

CLASS_NAMES = {  # as TFDS has them
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ),
    "mnist": tuple("0123456789"),
}  # fmt: skip
FILES = "{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"


def load(
    name: str, directory: str | os.PathLike | None, image_size: ImageSize | None
) -> ImageDataset | Images:
    """60,000 grey 28x28 images of ten classes, and 10,000 more that are held out.

    Args:
        name, image_size: as for `load_dataset`.
        directory: path of the folder with the four files, such as Debian's package
            `dataset-fashion-mnist` brings; any other is TFDS's.
    """
    if directory is None or not Path(directory, FILES[0].format("train")).is_file():
        return tfds.load(name, directory, image_size)
    folder = Path(directory)
    train, held_out = (_read_split(folder, split, image_size) for split in ("train", "t10k"))
    return ImageDataset(name, *train, *held_out, CLASS_NAMES[name], horizontal_flip=False)


def _read_split(directory, split, image_size):
    """(uint8 `[N, H, W, 1]`, int32 `[N]`) of the training images or the others."""
    images, labels = (read_idx(directory / file.format(split)) for file in FILES)
    images = np.stack([fit_image(image[..., None], image_size) for image in images])
    return images, labels.astype(np.int32)


def read_idx(path: Path) -> np.ndarray:
    """A gzipped IDX file: two zero bytes, 8 for uint8, the number of axes, their sizes, the data.

    Returns:
        uint8 array.
    """
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
