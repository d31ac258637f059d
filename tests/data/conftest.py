"""Data sets made for the tests: an ImageDataset, a TFDS directory, a folder of images."""

import numpy as np
import pytest
from PIL import Image

from kdiffusion.data import ImageDataset


@pytest.fixture
def numbered_dataset():
    """53 images that are all different and no mirror images, each the only one of its class.

    The label therefore says which example it is.
    """
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (53, 4, 6, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 5, 0] = 0, 255
    return ImageDataset(
        name="numbered",
        images=images,
        labels=np.arange(53, dtype=np.int32),
        validation_images=images[:11],
        validation_labels=np.arange(11, dtype=np.int32),
        class_names=tuple(f"number {index}" for index in range(53)),
        horizontal_flip=True,
    )


@pytest.fixture
def store_tfds(tmp_path):
    """Function that writes a TFDS data set to disk with TFDS's own writer.

    It takes the name, the version, the features and {split: (images, labels)}, and returns the
    data directory.
    """
    import tensorflow_datasets as tfds

    def filler(feature):
        return "" if isinstance(feature, tfds.features.Text) else 0

    def store(name, version, features, splits):
        others = {key: filler(features[key]) for key in features if key not in ("image", "label")}
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version=version,
            features=features,
            split_datasets={
                split: [
                    (index, {**others, "image": image, "label": label})
                    for index, (image, label) in enumerate(zip(images, labels, strict=True))
                ]
                for split, (images, labels) in splits.items()
            },
            data_dir=tmp_path / "tfds",
            disable_shuffling=True,
        )
        return tmp_path / "tfds"

    return store


@pytest.fixture
def write_folder(tmp_path):
    """Function that writes {"class/file": pixels [H, W] or [H, W, C]} and returns the folder."""

    def write(files):
        for name, pixels in files.items():
            path = tmp_path / "folder" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        return tmp_path / "folder"

    return write
