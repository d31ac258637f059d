"""Any TensorFlow Datasets (TFDS) name whose examples have an image and a label."""

import contextlib
import difflib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.tensorflow_start import import_tensorflow
from kdiffusion.terminal import errors_alone

from .connection import check_any_host_known
from .holdout import split_by_holdout
from .image_dataset import ImageDataset
from .resize import ImageSize, fit_image

# TensorFlow and TFDS take seconds to import, so each function that needs them does so itself:
# the DATASETS table, which lists `load_tfds`, is read to check a configuration before that.

NAME_PATTERN = r"[a-z]\w*(/[\w.\-]+)?(:\d+\.\d+\.\d+)?"
# Splits that may serve as the validation part, best first.
HELD_OUT_SPLITS = ("test", "validation")
# Photographs in which left and right mean nothing. Others keep the side they have, as a flip is
# wrong for digits and letters, and TFDS doesn't say what a data set shows.
MIRRORABLE = frozenset(
    ("cifar10", "cifar100", "stl10", "cats_vs_dogs", "food101", "imagenette", "oxford_flowers102")
)
# TFDS tries this host for a prepared copy before it asks the data set's own.
TFDS_COPIES_URL = "https://storage.googleapis.com"
READ_BATCH = 512


def load_tfds(
    name: str,
    *,
    directory: str | os.PathLike | None,
    image_size: ImageSize | None,
    validation_fraction: float,
    seed: int,
    other_names: Iterable[str] = (),
) -> ImageDataset:
    """Load a TFDS data set, downloading and preparing it first where that has not been done.

    The `test` split, else `validation`, is the validation part where it has labels; otherwise a
    stratified hold-out of `train` is.

    Args:
        name: str. As for `tfds.load`: `name`, `name/config`, `name:1.0.0`.
        directory: str or path. TFDS data directory. `None` means the one that the environment
            variable `TFDS_DATA_DIR` names, else TFDS's own default.
        image_size: int or (height, width) in pixels, by centre crop and resampling. `None` means
            as stored, which must be the same for all images.
        validation_fraction: float in (0, 1). Share that is held out where no split serves.
        seed: int, >= 0. Decides which images are held out.
        other_names: names to suggest, beside those of TFDS, for one that does not exist.

    Raises:
        ValueError: No such data set, or it has no image and label of a usable kind.
        FileNotFoundError: It exists but is not prepared and could not be downloaded.
    """
    builder = prepared_builder(name, directory, other_names)
    splits = builder.info.splits
    class_names = tuple(builder.info.features["label"].names)
    horizontal_flip = is_mirrorable(name)
    images, labels = _read_split(name, builder, "train", image_size)
    for split in HELD_OUT_SPLITS:
        if split not in splits:
            continue
        validation_images, validation_labels = _read_split(name, builder, split, image_size)
        if validation_labels.min() < 0:  # TFDS's mark for labels that were never published
            continue
        return ImageDataset(
            name=name,
            images=images,
            labels=labels,
            validation_images=validation_images,
            validation_labels=validation_labels,
            class_names=class_names,
            horizontal_flip=horizontal_flip,
        )
    return split_by_holdout(
        name,
        images,
        labels,
        class_names,
        horizontal_flip,
        validation_fraction=validation_fraction,
        seed=seed,
    )


def prepared_builder(
    name: str, directory: str | os.PathLike | None, other_names: Iterable[str] = ()
) -> Any:
    """TFDS's builder of a data set that can be trained on, prepared if need be.

    Args:
        name, directory, other_names: as of `load_tfds`.

    Raises:
        ValueError, FileNotFoundError: as `load_tfds`.
    """
    builder = _find_builder(name, directory, other_names)
    _check_features(name, builder.info.features)
    _prepare(name, builder)
    if "train" not in builder.info.splits:
        raise ValueError(
            f"{name!r} cannot be trained on: it has no `train` split. It has: "
            f"{sorted(builder.info.splits)}"
        )
    return builder


def is_mirrorable(name: str) -> bool:
    """Whether a mirror image of a TFDS data set's is as good an example."""
    return _base_name(name) in MIRRORABLE


def look_up_tfds(
    name: str, *, directory: str | os.PathLike | None, other_names: Iterable[str] = ()
) -> tuple[int | None, int]:
    """What is known of a TFDS data set without TensorFlow, which takes seconds to import.

    Returns:
        (training images, or None where they are not known before the download, classes).

    Raises:
        ValueError, FileNotFoundError: as `load_tfds`, but for what shows only in the images.
    """
    builder = _find_builder(name, directory, other_names)
    _check_features(name, builder.info.features)
    if not builder.is_prepared():
        with _explaining_failure(name, builder):
            _check_reachable(builder)
    splits = builder.info.splits
    num_images = splits["train"].num_examples if "train" in splits else None
    return num_images or None, builder.info.features["label"].num_classes


def _base_name(name: str) -> str:
    return re.split("[/:]", name)[0]


def _find_builder(name, directory, other_names):
    import tensorflow_datasets as tfds

    if re.match(r"\w+:[A-Za-z]", name):
        raise ValueError(
            "`name` must not have a namespace: TFDS would fetch such a data set's code from "
            f"elsewhere and run it. Received: name={name!r}"
        )
    if re.fullmatch(NAME_PATTERN, name):
        try:
            with errors_alone("absl"):  # of an empty folder, which is answered by ourselves
                return tfds.builder(name, data_dir=directory)
        except tfds.core.DatasetNotFoundError:
            pass  # Answered below, as is a name that cannot be one.
        except Exception as error:  # Whatever a builder's own code raises: version, config, ...
            raise ValueError(f"TFDS cannot load data set {name!r}: {error}") from error
    known = dict.fromkeys([*other_names, *tfds.list_builders(with_community_datasets=False)])
    close = difflib.get_close_matches(_base_name(name).lower(), known, n=5)
    meant = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise ValueError(
        f"`name` must be one of {sorted(other_names)}, a data set of TFDS, or one that was "
        f"prepared in `directory`. {meant}Received: name={name!r}, directory={directory!r}"
    )


def _check_features(name, features):
    """Refuse, before any download, what has no image of 8 bits or no label of known classes."""
    import tensorflow_datasets as tfds

    def refuse(reason):
        raise ValueError(f"{name!r} cannot be trained on: {reason}")

    if not isinstance(features, tfds.features.FeaturesDict):
        refuse(f"its examples must be dictionaries with `image` and `label`; they are {features}")
    for key, kind in (("image", tfds.features.Image), ("label", tfds.features.ClassLabel)):
        if key not in features or not isinstance(features[key], kind):
            found = ", ".join(f"{k} ({type(v).__name__})" for k, v in sorted(features.items()))
            refuse(f"it has no `{key}` that is a TFDS {kind.__name__}. It has: {found}")
    image = features["image"]
    if np.dtype(image.np_dtype) != np.uint8 or image.shape[-1] not in (1, 3):
        refuse(f"its images must be uint8 with 1 or 3 channels; they are {image}")
    if not features["label"].num_classes:
        refuse("it does not say which classes its labels number")


def _prepare(name, builder):
    """Download and prepare, unless that was done; a failure leaves nothing behind."""
    if builder.is_prepared():
        return
    import_tensorflow()
    import tensorflow_datasets as tfds

    data_directory = _data_directory(builder)
    with _explaining_failure(name, builder):
        _check_reachable(builder)
        data_directory.mkdir(parents=True, exist_ok=True)
        # TFDS would leave half-read files in DATA_DIR/downloads; archives are of no use later.
        with tempfile.TemporaryDirectory(dir=data_directory, prefix=".download-") as downloads:
            builder.download_and_prepare(
                download_dir=downloads,
                download_config=tfds.download.DownloadConfig(
                    manual_dir=data_directory / "downloads" / "manual"
                ),
            )


def _data_directory(builder):
    # DATA_DIR / name / config / version: as many levels as the full name has.
    return Path(builder.data_path).parents[builder.info.full_name.count("/")]


def _check_reachable(builder):
    # Files that were put in place by hand, or none at all, need no network.
    if builder.url_infos and not builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        check_any_host_known([*builder.url_infos, TFDS_COPIES_URL])


@contextlib.contextmanager
def _explaining_failure(name, builder):
    """Removes the empty folders of a preparation that failed, and says what can be done."""
    # From the innermost out, so that each is empty when its turn comes.
    new_directories = [path for path in Path(builder.data_path).parents if not path.exists()]
    try:
        yield
    except Exception as error:  # Network, disk, checksums, the builder's own code: all mean this.
        for path in new_directories:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise FileNotFoundError(
            f"Data set {name!r} is not prepared in {_data_directory(builder)}, and downloading and "
            f"preparing it failed: {error}\n"
            "Either set `directory`, or the environment variable TFDS_DATA_DIR, to a TFDS data "
            "directory that holds it; or, where there is a network, prepare it with "
            f"`tfds build {_base_name(name)} --data_dir DIRECTORY` and copy that directory here."
        ) from error


def _read_split(name, builder, split, image_size):
    """(uint8 `[N, H, W, C]`, int32 `[N]`) of one split, in the order in which it is stored."""
    batches = list(read_batches(name, builder, split, image_size))
    if not batches:
        raise ValueError(f"{name!r} cannot be trained on: its `{split}` split is empty")
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def read_batches(
    name: str, builder: Any, split: str, image_size: ImageSize | None, first: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One split of a TFDS data set, batch by batch, in the order in which it is stored.

    Args:
        name: str. For the errors.
        builder: TFDS builder of a prepared data set.
        split: str.
        image_size: int, (height, width) or None, as of `load_tfds`.
        first: int. The example to begin at. Defaults to `0`.

    Yields:
        (uint8 `[B, H, W, C]`, int32 `[B]`), B at most `READ_BATCH`.

    Raises:
        ValueError: damaged files, or images of different sizes.
    """
    tf = import_tensorflow()
    examples = builder.as_dataset(
        split=split, shuffle_files=False, decoders={"image": _exact_decoder()}
    )
    examples = examples.skip(first).map(lambda example: (example["image"], example["label"]))
    # Images of different sizes do not stack, so they come one by one.
    fixed_shape = None not in builder.info.features["image"].shape
    shape = None
    try:
        for images, labels in examples.batch(READ_BATCH if fixed_shape else 1).as_numpy_iterator():
            if image_size is not None:
                images = np.stack([fit_image(each, image_size) for each in images])
            shape = shape or images.shape[1:]
            if images.shape[1:] != shape:
                raise ValueError(
                    f"Images of {name!r} must be of one size unless `image_size` is set. Received: "
                    f"{shape} and {images.shape[1:]} in its `{split}` split"
                )
            yield images, labels.astype(np.int32)
    except tf.errors.OpError as error:
        raise ValueError(
            f"The `{split}` split of {name!r} in {builder.data_path} cannot be read; delete that "
            f"directory and prepare it again: {error.message}"
        ) from error


def read_labels(builder: Any, split: str) -> np.ndarray:
    """int32 `[N]`: the labels of one split, whose images are not decoded."""
    import_tensorflow()
    import tensorflow_datasets as tfds

    examples = builder.as_dataset(
        split=split, shuffle_files=False, decoders={"image": tfds.decode.SkipDecoding()}
    )
    labels = list(examples.map(lambda example: example["label"]).as_numpy_iterator())
    return np.asarray(labels, np.int32)


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
