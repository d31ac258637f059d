"""The handwritten digits that scikit-learn ships (Alpaydin & Kaynak 1998): nothing to download."""

import os

import numpy as np
from sklearn.datasets import load_digits

from kdiffusion.images import ImageSize, fit_image

from .image_dataset import Images

# Grey levels count the inked pixels in 4x4 blocks of the 32x32 scan.
MAX_LEVEL = 16


def load(name: str, directory: str | os.PathLike | None, image_size: ImageSize | None) -> Images:
    """1,797 grey 8x8 images of ten digits.

    Arguments as for `load_dataset`.

    Raises:
        ValueError: A `directory` is given, whose images would not be read.
    """
    if directory is not None:
        raise ValueError(
            f"`directory` must not be given for {name!r}. A folder of images is the data set "
            f"'folder'. Received: directory={str(directory)!r}"
        )
    digits = load_digits()
    images = np.rint(digits.images * (255 / MAX_LEVEL)).astype(np.uint8)[..., None]  # [N, 8, 8, 1]
    images = np.stack([fit_image(image, image_size) for image in images])
    class_names = tuple(str(digit) for digit in digits.target_names)
    return Images(images, digits.target.astype(np.int32), class_names)
