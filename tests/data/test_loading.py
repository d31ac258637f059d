"""What every row of DATASETS guarantees, and how a wrong name is answered."""

import numpy as np
import pytest

from kdiffusion.data import DATASETS, ImageDataset, load_dataset, name_and_directory
from kdiffusion.data.loading import IDX, TFDS
from kdiffusion.data.pipeline import training_batches
from kdiffusion.images import to_uint8
from kdiffusion.parts.packing.pack import pack
from tests.data.made_up import assert_same_data, random_pixels, store_tfds, write_folder, write_idx


@pytest.fixture(scope="module", params=DATASETS)
def source(request, tmp_path_factory):
    """(name, directory) of something real and small that the row's loader reads."""
    name, directory = request.param, tmp_path_factory.mktemp("data")
    if DATASETS[name] == TFDS:
        # The data set's own features and version, a few random images, TFDS's own writer.
        import tensorflow_datasets as tfds

        builder = tfds.builder(name)
        features, classes = builder.info.features, builder.info.features["label"].num_classes
        splits = {
            split: (random_pixels(size, features["image"].shape), np.arange(size) % classes)
            for split, size in (("train", 2 * classes), ("test", classes))
        }
        return name, store_tfds(directory, features, splits, name, str(builder.version))
    if DATASETS[name] == IDX:
        return name, write_idx(directory)
    if name == "packed":
        pack("digits", directory / "packed")
        return name, directory / "packed"
    if name == "folder":
        images = random_pixels(12, (8, 8, 3))
        files = {f"{i % 2}/{i}.png": image for i, image in enumerate(images)}
        return name, write_folder(directory, files)
    return name, None


def test_every_row_gives_a_data_set_that_trains(source):
    name, directory = source
    dataset = load_dataset(name, directory=directory, seed=7)
    assert isinstance(dataset, ImageDataset)
    assert dataset.name == name
    assert set(dataset.labels) == set(range(dataset.num_classes))
    for images in (dataset.images, dataset.validation_images):
        assert np.std(images) > 20  # 0..255 is used, not 0..16 or 0..1
    images, labels = next(iter(training_batches(dataset, 10, seed=0, flip=False)))
    known = {
        image.tobytes(): label for image, label in zip(dataset.images, dataset.labels, strict=True)
    }
    assert [known[image.tobytes()] for image in to_uint8(images.numpy())] == list(labels)
    assert_same_data(dataset, load_dataset(name, directory=directory, seed=7))


def test_every_row_takes_an_image_size(source):
    (name, directory), image_size = source, (6, 10)
    own_size = load_dataset(name, directory=directory)
    if isinstance(own_size.images, np.memmap):  # resized when they were packed
        with pytest.raises(ValueError, match="`image_size`"):
            load_dataset(name, directory=directory, image_size=image_size)
        dataset = load_dataset(name, directory=directory, image_size=own_size.image_shape[0])
        assert_same_data(dataset, own_size)
        return
    dataset = load_dataset(name, directory=directory, image_size=image_size)
    assert dataset.image_shape == (*image_size, own_size.image_shape[-1])
    np.testing.assert_array_equal(dataset.labels, own_size.labels)
    # Resampling keeps the mean brightness, whatever it does to details.
    assert abs(dataset.images.mean() - own_size.images.mean()) < 8


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = load_digits()
    expected = {
        np.rint(image / 16 * 255).astype(np.uint8).tobytes(): label
        for image, label in zip(digits.images, digits.target, strict=True)
    }
    dataset = load_dataset("digits", validation_fraction=0.2)
    images = [*dataset.images, *dataset.validation_images]
    labels = [*dataset.labels, *dataset.validation_labels]
    assert len(images) == 1797
    assert [expected[image.tobytes()] for image in images] == labels
    assert len(dataset.validation_labels) == round(0.2 * 1797)
    assert not dataset.horizontal_flip


def test_a_directory_that_would_not_be_read_is_refused():
    with pytest.raises(ValueError, match="`directory`"):
        load_dataset("digits", directory="my_images")


def test_a_name_in_the_table_is_that_data_set_and_any_other_folder_holds_images(
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
    (tmp_path / "mine" / "packed.json").touch()
    assert name_and_directory("mine") == ("packed", "mine")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", np.zeros((53, 4, 6, 3), np.float32)),
        ("validation_images", np.zeros((11, 4, 6, 1), np.uint8)),
        ("labels", np.full(53, 53, np.int32)),
        ("labels", np.full(54, 0, np.int32)),
        ("validation_labels", np.full(11, -1, np.int32)),
    ],
)
def test_content_that_would_train_something_else_is_refused(numbered_dataset, field, value):
    with pytest.raises(ValueError, match=f"`{field}`"):
        ImageDataset(**{**vars(numbered_dataset), field: value})


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 53), (8, 6), (26, 2), (27, 1), (53, 1)])
def test_steps_per_epoch_counts_whole_batches(numbered_dataset, batch_size, steps):
    assert numbered_dataset.steps_per_epoch(batch_size) == steps
    with pytest.raises(ValueError, match="`batch_size`"):
        numbered_dataset.steps_per_epoch(54)
