"""Data sets on the disk, made for the tests: a TFDS directory, a folder of images."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from kdiffusion.data import ImageDataset


def random_pixels(count, shape=(6, 6, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def write_folder(directory, files):
    """Writes {"class/file": pixels `[H, W]` or `[H, W, C]`} and returns the folder."""
    for name, pixels in files.items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return Path(directory)


def store_tfds(directory, features, splits, name="little", version="1.0.0"):
    """Writes {split: (images, labels)} with TFDS's own writer and returns the data directory."""
    import tensorflow_datasets as tfds

    others = {
        key: "" if feature.np_dtype == np.object_ else 0
        for key, feature in features.items()
        if key not in ("image", "label")
    }
    examples = {
        split: [
            (index, {**others, "image": image, "label": label})
            for index, (image, label) in enumerate(zip(images, labels, strict=True))
        ]
        for split, (images, labels) in splits.items()
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name, version=version, features=features, split_datasets=examples,
        data_dir=directory, disable_shuffling=True,
    )  # fmt: skip
    return directory


def assert_same_data(one: ImageDataset, other: ImageDataset):
    for part in ("images", "labels", "validation_images", "validation_labels"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert one.class_names == other.class_names
    assert one.horizontal_flip == other.horizontal_flip
    assert one.content_hash() == other.content_hash()


def write_idx(directory):
    """The four files of MNIST's format: 20 images of ten classes, and 10 held out."""
    for split, count in (("train", 20), ("t10k", 10)):
        parts = {
            f"{split}-images-idx3-ubyte.gz": random_pixels(count, (28, 28), seed=count),
            f"{split}-labels-idx1-ubyte.gz": np.arange(count, dtype=np.uint8) % 10,
        }
        for name, values in parts.items():
            header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
            (directory / name).write_bytes(gzip.compress(header + values.tobytes()))
    return directory
