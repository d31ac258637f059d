"""Any TensorFlow Datasets (TFDS) name whose examples have an image and a label."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.images import FILE_ENDINGS, ImageSize, fit_image
from kdiffusion.terminal import import_tensorflow

from .image_dataset import ImageDataset, Images
from .loading import DATASETS

# NAME, NAME/CONFIG or NAME:1.0.0. Not NAMESPACE:NAME, whose code TFDS would fetch and run.
NAME_PATTERN = r"\w+(/[\w.\-]+)?(:\d+\.\d+\.\d+)?"
# Splits that may serve as the validation part, best first.
HELD_OUT_SPLITS = ("test", "validation")
# Photographs in which left and right mean nothing. Others keep the side they have, as a flip is
# wrong for digits and letters, and TFDS doesn't say what a data set shows.
MIRRORABLE = frozenset(
    ("cifar10", "cifar100", "stl10", "cats_vs_dogs", "food101", "imagenette", "oxford_flowers102")
)
READ_BATCH = 512


def load(
    name: str, directory: str | os.PathLike | None, image_size: ImageSize | None
) -> Images | ImageDataset:
    """Loads a TFDS data set, downloading and preparing it first where that has not been done.

    The `test` split, else `validation`, is the validation part where it has labels; otherwise the
    images are those of `train`.

    Args:
        name: str. As for `tfds.load`: `name`, `name/config`, `name:1.0.0`.
        directory, image_size: as for `load_dataset`.

    Raises:
        ValueError: There is no such data set, or it has no image and label.
    """
    builder = prepared_builder(name, directory)
    class_names = tuple(builder.info.features["label"].names)
    images, labels = _read_split(builder, "train", image_size)
    split = validation_split(builder)
    if split is None:
        return Images(images, labels, class_names, is_mirrorable(name))
    held_out = _read_split(builder, split, image_size)
    return ImageDataset(name, images, labels, *held_out, class_names, is_mirrorable(name))


def prepared_builder(name: str, directory: str | os.PathLike | None) -> Any:
    """TFDS's builder of a data set, after its download if need be.

    Args:
        name, directory: as for `load`.

    Raises:
        ValueError: There is no such data set, or it has no image and label, or the directory
            holds images; before any download.
    """
    import_tensorflow()
    import tensorflow_datasets as tfds

    try:
        if not re.fullmatch(NAME_PATTERN, name):
            raise tfds.core.DatasetNotFoundError
        builder = tfds.builder(name, data_dir=directory)
    except tfds.core.DatasetNotFoundError:
        raise ValueError(
            f"There is no data set {name!r}. A data set is one of {', '.join(DATASETS)}, or any "
            "name in TensorFlow Datasets that has images and labels."
        ) from None
    if not {"image", "label"} <= set(builder.info.features):
        raise ValueError(
            f"The data set {name!r} must have an `image` and a `label` to train on. It has "
            f"{', '.join(builder.info.features)}."
        )
    if directory is not None and not builder.data_path.exists():
        files = Path(directory).glob("*/*")
        if any(path.suffix.lower() in FILE_ENDINGS for path in files):  # the user's own
            raise ValueError(
                f"`directory` holds images, but not {name}. For your own images, the data set is "
                f"`folder` (--data.name folder). Received: {directory}"
            )
    builder.download_and_prepare()
    return builder


def validation_split(builder: Any) -> str | None:
    """The split that serves as the validation part; None if a part of `train` must be held out."""
    for split in HELD_OUT_SPLITS:
        # -1 is TFDS's mark for labels that were never published.
        if split in builder.info.splits and read_labels(builder, split).min() >= 0:
            return split
    return None


def is_mirrorable(name: str) -> bool:
    """Whether the mirror image of an image of this data set is as good an example."""
    return re.split("[/:]", name)[0] in MIRRORABLE


def _read_split(builder, split, image_size):
    """(uint8 `[N, H, W, C]`, int32 `[N]`) of one split, in the order in which it is stored."""
    images, labels = zip(*read_batches(builder, split, image_size), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def read_batches(
    builder: Any, split: str, image_size: ImageSize | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One split of a TFDS data set, batch by batch, in the order in which it is stored.

    Args:
        builder: TFDS builder of a prepared data set.
        split: str.
        image_size: int, (height, width) or None, as for `load_dataset`.

    Yields:
        (uint8 `[B, H, W, C]`, int32 `[B]`), B at most `READ_BATCH`.
    """
    examples = builder.as_dataset(
        split=split, shuffle_files=False, decoders={"image": _exact_decoder()}
    ).map(lambda example: (example["image"], example["label"]))
    # Images of several sizes do not stack until they are resized.
    is_stacked = image_size is None or None not in builder.info.features["image"].shape
    for images, labels in examples.batch(READ_BATCH if is_stacked else 1).as_numpy_iterator():
        images = np.stack([fit_image(image, image_size) for image in images])
        yield images, labels.astype(np.int32)


def read_labels(builder: Any, split: str) -> np.ndarray:
    """int32 `[N]`: the labels of one split, whose images are not decoded."""
    import tensorflow_datasets as tfds

    examples = builder.as_dataset(
        split=split, shuffle_files=False, decoders={"image": tfds.decode.SkipDecoding()}
    ).map(lambda example: example["label"])
    return np.concatenate(list(examples.batch(READ_BATCH).as_numpy_iterator())).astype(np.int32)


def _exact_decoder():
    """TFDS decoder of images whose JPEGs come out as other programs show them.

    TensorFlow's default is a fast, inexact transform: on CIFAR-10 stored as JPEG it darkens red
    and blue by 1.2 levels of 255 on average.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    @tfds.decode.make_decoder()
    def decode(serialized, feature):
        image = tf.cond(
            tf.io.is_jpeg(serialized),
            lambda: tf.io.decode_jpeg(
                serialized, channels=feature.shape[-1], dct_method="INTEGER_ACCURATE"
            ),
            lambda: feature.decode_example(serialized),
        )
        return tf.ensure_shape(image, feature.shape)

    return decode()  # pyright: ignore[reportCallIssue] (the decorator takes the arguments)
