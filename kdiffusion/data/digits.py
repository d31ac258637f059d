"""The handwritten digits that scikit-learn ships (Alpaydin & Kaynak 1998): nothing to download."""

import numpy as np

from .holdout import split_by_holdout
from .image_dataset import ImageDataset
from .resize import ImageSize, fit_image

# Grey levels count the inked pixels in 4x4 blocks of the 32x32 scan.
MAX_LEVEL = 16
NUM_IMAGES, NUM_CLASSES = 1797, 10


def look_up_digits(name: str, *, directory: str | None) -> tuple[int, int]:
    """(images, classes), both parts together.

    Raises:
        ValueError: A `directory` is given.
    """
    if directory is not None:
        raise ValueError(
            f"`directory` must not be given for {name!r}, which scikit-learn ships. "
            f"Received: directory={str(directory)!r}"
        )
    return NUM_IMAGES, NUM_CLASSES


def load_digits(
    name: str,
    *,
    directory: str | None,
    image_size: ImageSize | None,
    validation_fraction: float,
    seed: int,
) -> ImageDataset:
    """1,797 grey 8x8 images of ten digits; a stratified hold-out is the validation part.

    Args:
        name: str. Becomes the data set's name.
        directory: None. The digits lie inside scikit-learn.
        image_size: int or (height, width) in pixels. Defaults to `None`, as stored: 8.
        validation_fraction: float in (0, 1). Share that is held out.
        seed: int, >= 0. Decides which images are held out.

    Raises:
        ValueError: A `directory` is given.
    """
    look_up_digits(name, directory=directory)
    # Here and not above: scikit-learn takes a second to import, and only this loader needs it.
    from sklearn.datasets import load_digits as load_sklearn_digits

    digits = load_sklearn_digits()
    images = np.rint(digits.images * (255 / MAX_LEVEL)).astype(np.uint8)[..., None]  # [N, 8, 8, 1]
    if image_size is not None:
        images = np.stack([fit_image(image, image_size) for image in images])
    return split_by_holdout(
        name,
        images,
        digits.target.astype(np.int32),
        tuple(str(digit) for digit in digits.target_names),
        horizontal_flip=False,
        validation_fraction=validation_fraction,
        seed=seed,
    )
