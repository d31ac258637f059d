"""Any TensorFlow Datasets name whose examples have an image and a label."""

import difflib
import re
from collections.abc import Iterable

import numpy as np

from .dataset import ImageDataset
from .holdout import split_by_holdout
from .resize import fit_to_square

# TensorFlow and TFDS take seconds to import, so each function that needs them does so itself:
# the DATASETS table, which lists `load_tfds`, is read to check a configuration before that.

# No `namespace:name`: TFDS would fetch such a "community" data set's code and run it.
NAME_PATTERN = r"[A-Za-z]\w*(/[\w.\-]+)?(:\d+\.\d+\.\d+)?"
# Splits that may serve as the validation part, best first.
HELD_OUT_SPLITS = ("test", "validation")


def load_tfds(
    name: str,
    *,
    directory: str | None,
    image_size: int | None,
    validation_fraction: float,
    seed: int,
    horizontal_flip: bool = False,
    other_names: Iterable[str] = (),
) -> ImageDataset:
    """Load a TFDS data set, downloading and preparing it first where that has not been done.

    The `test` split, else `validation`, is the validation part where it has labels; otherwise a
    stratified hold-out of `train` is.

    Args:
        name: str. As for `tfds.load`: `name`, `name/config`, `name:1.0.0`.
        directory: str or path. TFDS data directory. Defaults to `None`: the one that the
            environment variable `TFDS_DATA_DIR` names, else TFDS's own default.
        image_size: int. Height and width in pixels, by centre crop and resampling. Defaults to
            `None`: as stored, which must be the same for all images.
        validation_fraction: float in (0, 1). Share that is held out where no split serves.
        seed: int, >= 0. Decides which images are held out.
        horizontal_flip: bool. Whether a mirror image is as good an example. Defaults to `False`,
            the safe answer for a data set that nobody has looked at.
        other_names: names to suggest, beside those of TFDS, for one that does not exist.

    Raises:
        ValueError: No such data set, or it has no image and label of a usable kind.
        RuntimeError: It exists but is not prepared and could not be downloaded.
    """
    builder = _find_builder(name, directory, other_names)
    _check_features(name, builder.info.features)
    _prepare(name, builder)
    if "train" not in builder.info.splits:
        raise ValueError(
            f"{name!r} cannot be trained on: it has no `train` split, only "
            f"{sorted(builder.info.splits)}"
        )
    class_names = tuple(builder.info.features["label"].names)
    images, labels = _read_split(name, builder, "train", image_size)
    for split in HELD_OUT_SPLITS:
        if split not in builder.info.splits:
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


def _find_builder(name, directory, other_names):
    import tensorflow_datasets as tfds

    base_name = re.split("[/:]", name)[0]
    if re.fullmatch(NAME_PATTERN, name):
        try:
            return tfds.builder(name, data_dir=directory)
        except tfds.core.DatasetNotFoundError:
            pass  # Answered below, as is a name that cannot be one.
        except Exception as error:  # Whatever a builder's own code raises: version, config, ...
            raise ValueError(f"TFDS cannot make data set {name!r}: {error}") from error
    known = [*other_names, *tfds.list_builders(with_community_datasets=False)]
    close = difflib.get_close_matches(base_name.lower(), dict.fromkeys(known), n=5)
    meant = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise ValueError(
        f"`name` must be one of {sorted(other_names)} or a data set of TFDS. {meant}"
        f"Received: name={name!r}"
    )


def _check_features(name, features):
    """Refuse, before any download, what has no image in 8 bits or no label from known classes."""
    import tensorflow_datasets as tfds

    def refuse(reason):
        raise ValueError(f"{name!r} cannot be trained on: {reason}")

    if not isinstance(features, tfds.features.FeaturesDict):
        refuse(f"its examples are no dictionary of features but {features}")
    for key, kind in (("image", tfds.features.Image), ("label", tfds.features.ClassLabel)):
        if key not in features or not isinstance(features[key], kind):
            has = ", ".join(f"{k} ({type(v).__name__})" for k, v in features.items())
            refuse(f"it has no `{key}` that is a TFDS {kind.__name__}. It has: {has}")
    image = features["image"]
    if np.dtype(image.np_dtype) != np.uint8 or image.shape[-1] not in (1, 3):
        refuse(f"its images must be uint8 with 1 or 3 channels; they are {image}")
    if not features["label"].num_classes:
        refuse("it does not say how many classes its labels have")


def _prepare(name, builder):
    builder.download_and_prepare()


def _read_split(name, builder, split, image_size):
    """(uint8 `[N, H, W, C]`, int32 `[N]`) of one split, in the order in which it is stored."""
    examples = builder.as_dataset(split=split, shuffle_files=False)
    images, labels = [], []
    for example in examples.as_numpy_iterator():
        image = example["image"]
        if image_size is not None:
            image = fit_to_square(image, image_size)
        if images and image.shape != images[0].shape:
            raise ValueError(
                f"Images of {name!r} differ in size: {images[0].shape} and {image.shape} "
                f"(`{split}`, example {len(images)}). Set `image_size` to bring them to one."
            )
        images.append(image)
        labels.append(example["label"])
    if not images:
        raise ValueError(f"{name!r} has no examples in its `{split}` split")
    return np.stack(images), np.asarray(labels, np.int32)
