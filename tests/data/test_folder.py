"""A folder of images: what is read, in which order, and which file is at fault."""

import tracemalloc

import numpy as np
import pytest

from kdiffusion.data import load_dataset
from kdiffusion.images import fit_image
from tests.data.made_up import random_pixels, write_folder


def files(shape=(6, 6, 3)):
    names = [f"{name}/{index}.png" for name in ("cat", "ant", "bee") for index in range(4)]
    return dict(zip(names, random_pixels(12, shape), strict=True))


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path, files())


def load(directory, **arguments):
    return load_dataset("folder", directory=directory, validation_fraction=0.25, **arguments)


def all_images(dataset):
    """{pixels: class name} over both parts."""
    images = [image.tobytes() for image in (*dataset.images, *dataset.validation_images)]
    names = [dataset.class_names[y] for y in (*dataset.labels, *dataset.validation_labels)]
    return dict(zip(images, names, strict=True))


@pytest.mark.parametrize("shape", [(6, 6, 3), (6, 6)], ids=["colour", "grey"])
def test_pixels_classes_and_their_order_are_those_of_the_files(tmp_path, shape):
    written = files(shape)
    dataset = load(write_folder(tmp_path, written))
    assert dataset.image_shape == (*shape, 1)[:3]
    assert dataset.class_names == ("ant", "bee", "cat")
    assert not dataset.horizontal_flip
    expected = {pixels.tobytes(): name.split("/")[0] for name, pixels in sorted(written.items())}
    assert all_images(dataset) == expected
    places = [[*expected].index(image.tobytes()) for image in dataset.images]
    assert places == sorted(places)
    np.testing.assert_array_equal(np.bincount(dataset.validation_labels), [1, 1, 1])


def test_image_size_brings_grey_and_coloured_images_to_one_size(folder):
    grey = random_pixels(1, (40, 31))[0]
    write_folder(folder, {"ant/large.png": np.full((20, 31, 3), 9, np.uint8), "ant/grey.png": grey})
    with pytest.raises(ValueError, match="`image_size` must be given"):
        load(folder)
    dataset = load(folder, image_size=5)
    assert dataset.image_shape == (5, 5, 3)
    assert all_images(dataset)[np.full((5, 5, 3), 9, np.uint8).tobytes()] == "ant"
    expected = fit_image(np.repeat(grey[..., None], 3, axis=-1), 5)
    assert all_images(dataset)[expected.tobytes()] == "ant"


def test_no_more_of_a_photograph_is_kept_than_its_resized_image(tmp_path):
    large = np.zeros((500, 500, 3), np.uint8)
    directory = write_folder(tmp_path, {f"a/{index}.png": large for index in range(12)})
    tracemalloc.start()
    load(directory, image_size=5)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * large.nbytes


def test_hidden_files_and_files_beside_the_classes_are_passed_over(folder):
    (folder / "ant" / ".DS_Store").write_bytes(b"no image")
    (folder / ".cache").mkdir()
    (folder / "LICENSE").write_text("no image")
    assert len(all_images(load(folder))) == 12


def test_a_class_without_images_is_refused(folder):
    (folder / "dog").mkdir()
    with pytest.raises(ValueError, match=r"`directory` must .*dog"):
        load(folder)


@pytest.fixture
def described(folder):
    """The folder with a metadata.csv: the brightness of each image and its place in the folder."""
    lines = [
        f"{name},{pixels.mean()},{place},ignored"
        for place, (name, pixels) in enumerate(files().items())
    ]
    (folder / "metadata.csv").write_text("\n".join(["file_name,light,place,note", *lines]))
    return folder


def test_numbers_come_from_the_metadata_of_the_folder(described):
    dataset = load(described, numbers=("light", "place"))
    images = np.concatenate([dataset.images, dataset.validation_images])
    numbers = [dataset.conditions["numbers"], dataset.validation_conditions["numbers"]]
    lightness = np.concatenate(numbers)[:, 0]
    np.testing.assert_allclose(lightness, images.mean(axis=(1, 2, 3)), rtol=1e-6)
    light, place = dataset.numbers
    assert (light.name, place.name) == ("light", "place")
    values = dataset.conditions["numbers"][:, 1]
    assert (place.low, place.high) == (values.min(), values.max())
    assert place.mean == pytest.approx(values.mean())
    assert place.std == pytest.approx(values.std())
    assert dataset.content_hash() != load(described).content_hash()


@pytest.mark.parametrize("text", ["", "nan", "inf", "many"])
def test_a_number_that_is_missing_is_named_with_its_file(described, text):
    file = described / "metadata.csv"
    lines = file.read_text().splitlines()
    name = lines[3].split(",")[0]
    file.write_text("\n".join([*lines[:3], f"{name},{text},1,-", *lines[4:]]))
    with pytest.raises(ValueError, match=rf"metadata.csv must have a .*`light` of {name}"):
        load(described, numbers=("light",))


def test_an_image_may_be_conditioned_on_one_of_the_same_name(folder, tmp_path_factory):
    """Here on its negative."""
    others = write_folder(
        tmp_path_factory.mktemp("negatives"), {name: 255 - each for name, each in files().items()}
    )
    dataset = load(folder, condition_directory=others)
    np.testing.assert_array_equal(dataset.conditions["image"], 255 - dataset.images)
    assert dataset.condition_image.channels == 3
    asked = dataset.asked([0, 2])
    np.testing.assert_array_equal(asked["image"], 255 - dataset.validation_images[[0, 2]])
    np.testing.assert_array_equal(asked["label"], dataset.validation_labels[[0, 2]])
    (others / "ant" / "0.png").unlink()
    with pytest.raises(ValueError, match="cannot be read as an image"):
        load(folder, condition_directory=others)
