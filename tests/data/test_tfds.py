"""TFDS data sets beyond the table: what is read, and which split is held out."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from kdiffusion.data import load_dataset
from tests.data.made_up import random_pixels, store_tfds, write_folder

SHAPE = (6, 7, 3)


PNG = tfds.features.Image(shape=SHAPE, encoding_format="png")
NO_OR_YES = tfds.features.ClassLabel(names=["no", "yes"])


def features(image=PNG, **others):
    return tfds.features.FeaturesDict({"image": image, "label": NO_OR_YES, **others})


def examples(count, shape=SHAPE):
    return random_pixels(count, shape, seed=count), np.arange(count) % 2


def load(directory, name="little", **arguments):
    return load_dataset(name, directory=directory, **arguments)


TRAIN, TEST, VALIDATION = examples(20), examples(4), examples(6)
UNKNOWN = (TEST[0], np.full(4, -1))


@pytest.mark.parametrize(
    ("others", "held_out"),
    [
        ({"validation": VALIDATION}, VALIDATION),
        ({"validation": VALIDATION, "test": TEST}, TEST),
        ({"validation": VALIDATION, "test": UNKNOWN}, VALIDATION),
    ],
)
def test_images_are_read_as_stored_and_a_split_is_the_validation_part(tmp_path, others, held_out):
    kinds = features(count=tfds.features.Scalar(np.int64))  # which is passed over
    directory = store_tfds(tmp_path, kinds, {"train": TRAIN, **others}, version="1.1.0")
    dataset = load(directory, name="little:1.1.0")
    np.testing.assert_equal((dataset.images, dataset.labels), TRAIN)
    np.testing.assert_equal((dataset.validation_images, dataset.validation_labels), held_out)
    assert dataset.class_names == ("no", "yes")
    assert not dataset.horizontal_flip


def test_a_part_of_train_is_held_out_where_no_split_serves(tmp_path):
    splits = {"train": TRAIN, "test": UNKNOWN}
    dataset = load(store_tfds(tmp_path, features(), splits), validation_fraction=0.2)
    np.testing.assert_array_equal(np.bincount(dataset.validation_labels), [2, 2])
    together = [*dataset.images, *dataset.validation_images]
    assert {image.tobytes() for image in together} == {image.tobytes() for image in TRAIN[0]}


def test_jpegs_are_decoded_as_pillow_decodes_them(tmp_path):
    paths = [str(tmp_path / f"{index}.jpg") for index in range(20)]
    for path, image in zip(paths, random_pixels(20, (8, 8, 3)), strict=True):
        Image.fromarray(image).resize((32, 32)).save(path)
    jpeg = features(image=tfds.features.Image(shape=(32, 32, 3), encoding_format="jpeg"))
    splits = dict.fromkeys(("train", "test"), (paths, np.arange(20) % 2))
    dataset = load(store_tfds(tmp_path / "tfds", jpeg, splits))
    np.testing.assert_array_equal(
        dataset.images, np.stack([np.asarray(Image.open(path)) for path in paths])
    )


def test_images_of_different_sizes_take_an_image_size(tmp_path):
    free = features(image=tfds.features.Image(shape=(None, None, 3)))
    images = [*examples(10)[0], *examples(10, (9, 5, 3))[0]]
    directory = store_tfds(tmp_path, free, {"train": (images, np.arange(20) % 2)})
    assert load(directory, image_size=4).image_shape == (4, 4, 3)


def test_nothing_is_downloaded_into_a_folder_of_images(tmp_path):
    write_folder(tmp_path, {"cats/1.png": TRAIN[0][0]})
    with pytest.raises(ValueError, match=r"--data\.name folder"):
        load(tmp_path, name="cifar10")
    assert [path.name for path in tmp_path.iterdir()] == ["cats"]
