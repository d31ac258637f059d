import numpy as np
import pytest

from kdiffusion.data import ImageDataset


@pytest.fixture
def numbered_dataset():
    """53 images that are all different and no mirror images, each the only one of its class.

    The label therefore says which example it is.
    """
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (53, 4, 6, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 5, 0] = 0, 255
    labels, names = np.arange(53, dtype=np.int32), tuple(f"number {index}" for index in range(53))
    return ImageDataset("numbered", images, labels, images[:11], labels[:11], names, True)
