"""What every row of DATASETS guarantees, and how a wrong request is answered."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kdiffusion.data import (
    DATASETS,
    ImageDataset,
    load_dataset,
    look_up_dataset,
    name_and_directory,
    training_batches,
)
from kdiffusion.data.loading import LOOK_UPS
from kdiffusion.data.packing import pack
from kdiffusion.data.tfds_catalog import load_tfds
from kdiffusion.images import to_uint8

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(params=DATASETS)
def source(request, store_tfds, write_folder, tmp_path):
    """(name, directory) of something real and small that the row's loader reads."""
    name = request.param
    random = np.random.default_rng(0)
    if DATASETS[name] is load_tfds:
        # The data set's own features and version, a few random images, TFDS's own writer.
        import tensorflow_datasets as tfds

        builder = tfds.builder(name)
        features, classes = builder.info.features, builder.info.features["label"].num_classes

        def split(size):
            images = random.integers(0, 256, (size, *features["image"].shape), np.uint8)
            return images, np.arange(size) % classes

        splits = {"train": split(2 * classes), "test": split(classes)}
        return name, store_tfds(name, str(builder.version), features, splits)
    if name == "packed":
        pack("digits", tmp_path / "packed", progress=False)
        return name, tmp_path / "packed"
    if name == "folder":
        images = random.integers(0, 256, (12, 8, 8, 3), np.uint8)
        return name, write_folder({f"{i % 2}/{i}.png": image for i, image in enumerate(images)})
    return name, None


def test_every_row_gives_a_data_set_that_trains(source):
    name, directory = source
    dataset = load_dataset(name, directory=directory)
    assert isinstance(dataset, ImageDataset)
    assert dataset.name == name
    assert set(dataset.labels) == set(range(dataset.num_classes))
    for images in (dataset.images, dataset.validation_images):
        assert np.std(images) > 20  # 0..255 is used, not 0..16 or 0..1
    batches = training_batches(dataset, 10, seed=0, flip=False).as_numpy_iterator()
    images, labels = next(batches)
    known = {
        image.tobytes(): label for image, label in zip(dataset.images, dataset.labels, strict=True)
    }
    assert [known[image.tobytes()] for image in to_uint8(images)] == list(labels)


def test_every_row_loads_the_same_twice(source):
    name, directory = source
    first, again = (load_dataset(name, directory=directory, seed=7) for _ in range(2))
    for part in ("images", "labels", "validation_images", "validation_labels"):
        np.testing.assert_array_equal(getattr(first, part)[:], getattr(again, part)[:])


@pytest.mark.parametrize("image_size", [1, 5, 48, (6, 10)])
def test_every_row_takes_an_image_size(source, image_size):
    name, directory = source
    if name == "packed":  # its images have the size that they were packed in
        with pytest.raises(ValueError, match="`image_size` must be None, or pack"):
            load_dataset(name, directory=directory, image_size=image_size)
        return
    own_size = load_dataset(name, directory=directory)
    dataset = load_dataset(name, directory=directory, image_size=image_size)
    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    assert dataset.image_shape == (*sides, own_size.image_shape[-1])
    np.testing.assert_array_equal(dataset.labels, own_size.labels)
    # Resampling keeps the mean brightness, whatever it does to details.
    assert abs(dataset.images.mean() - own_size.images.mean()) < (40 if image_size == 1 else 8)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = load_digits()
    expected = {
        np.rint(image / 16 * 255).astype(np.uint8).tobytes(): label
        for image, label in zip(digits.images, digits.target, strict=True)
    }
    dataset = load_dataset("digits", validation_fraction=0.2)
    images = np.concatenate([dataset.images, dataset.validation_images])
    labels = np.concatenate([dataset.labels, dataset.validation_labels])
    assert images.shape == (1797, 8, 8, 1)
    assert (images.min(), images.max()) == (0, 255)
    assert [expected[image.tobytes()] for image in images] == list(labels)
    assert len(dataset.validation_labels) == round(0.2 * 1797)
    assert dataset.class_names == tuple("0123456789")
    assert not dataset.horizontal_flip


def test_seed_decides_what_is_held_out():
    first, other = (load_dataset("digits", seed=seed).validation_images for seed in (0, 1))
    assert (first != other).any()


@pytest.mark.slow
@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR is not set")
def test_the_real_cifar10():
    dataset = load_dataset("cifar10")
    assert dataset.images.shape == (50000, 32, 32, 3)
    assert dataset.validation_images.shape == (10000, 32, 32, 3)
    assert (np.bincount(dataset.labels) == 5000).all()
    assert (np.bincount(dataset.validation_labels) == 1000).all()
    assert dataset.class_names[3] == "cat"
    assert dataset.horizontal_flip
    # Published channel means; a copy may have been stored as JPEG, which moves them a little.
    means = dataset.images.mean(axis=(0, 1, 2), dtype=np.float64) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=2e-3)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("digit", "digits"),
        ("cifar-10", "cifar10"),
        ("CIFAR10", "cifar10"),
        ("sti10", "stl10"),
        ("mnits", "mnist"),
        ("oxford_flower102", "oxford_flowers102"),
    ],
)
def test_close_names_are_suggested(name, close):
    with pytest.raises(ValueError, match=f"Did you mean .*'{close}'.* Received: name='{name}'"):
        load_dataset(name)


@pytest.mark.parametrize("name", ["", "../cifar10", "/tmp", "cifar10:", "zzzzqqqq", "a b"])
def test_an_impossible_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=r"`name` must be one of \['cifar10', .*'stl10'\]"):
        load_dataset(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 3}, "`name` must be a string. Received: name=3"),
        ({"name": None}, "`name` must be a string. Received: name=None"),
        (
            {"image_size": 0},
            "`image_size` must be a whole number of at least 1, or two.*Received: image_size=0",
        ),
        (
            {"image_size": -8},
            "`image_size` must be a whole number of at least 1, or two.*Received: image_size=-8",
        ),
        (
            {"image_size": 8.5},
            "`image_size` must be a whole number of at least 1, or two.*Received: image_size=8.5",
        ),
        ({"validation_fraction": 0.0}, "`validation_fraction` must be above 0 and below 1"),
        ({"validation_fraction": 1}, "`validation_fraction` must be above 0 and below 1"),
        ({"validation_fraction": float("nan")}, "`validation_fraction` must be above 0"),
        ({"seed": -1}, "`seed` must not be negative. Received: seed=-1"),
        ({"directory": "somewhere"}, "`directory` must not be given for 'digits'"),
        ({"name": "huggingface:mnist"}, "`name` must not have a namespace"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(**{"name": "digits", **arguments})


def test_a_name_in_the_table_is_that_data_set_and_any_other_folder_one_of_images(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for folder in ("digits", "mine"):
        (tmp_path / folder).mkdir()
    assert name_and_directory("digits") == ("digits", None)
    assert name_and_directory("./digits") == ("folder", "./digits")
    assert name_and_directory("mine") == ("folder", "mine")
    assert name_and_directory("folder", "mine") == ("folder", "mine")
    assert name_and_directory("mnist", "stored") == ("mnist", "stored")
    with pytest.raises(ValueError, match="`directory` must not be given"):
        name_and_directory("mine", "stored")
    for path in ("./nope", "../nope", str(tmp_path / "nope")):
        with pytest.raises(ValueError, match=r"or a folder\. Received: .*nope, where no folder is"):
            name_and_directory(path)


def test_every_row_is_looked_up_as_it_is_loaded(source):
    name, directory = source
    images, classes = look_up_dataset(name, directory)
    dataset = load_dataset(name, directory=directory)
    held_out = (
        0 if DATASETS[name] is load_tfds or name == "packed" else len(dataset.validation_images)
    )
    assert (images, classes) == (len(dataset.images) + held_out, dataset.num_classes)
    assert LOOK_UPS.keys() <= DATASETS.keys()


LOOK_UP = """
import sys
from kdiffusion.data import look_up_dataset
try:
    print(look_up_dataset(*sys.argv[1:]))
except (ValueError, FileNotFoundError) as error:
    print(error)
assert "tensorflow" not in sys.modules
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["digits"], r"\(1797, 10\)"),
        (["digits", "here"], "`directory` must not be given"),
        (["folder"], "`directory` must be given"),
        (["folder", "no_such_folder"], "`directory` must be a folder"),
        (["cifar1", "."], "Did you mean 'cifar10'"),
    ],
)
def test_a_data_set_is_looked_up_without_tensorflow(arguments, said):
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UP, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert (re.search(said, done.stdout) is not None, done.returncode) == (True, 0), done.stderr


def test_a_folder_is_looked_up_before_it_is_read(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not read yet")
    assert look_up_dataset("folder", tmp_path) == (3, 2)
