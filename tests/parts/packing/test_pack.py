"""A packed data set is the data set: the same images and batches, from the disk."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands.train import parse
from kdiffusion.data import load_dataset
from kdiffusion.data.pipeline import training_batches, validation_batches
from kdiffusion.parts.packing.pack import pack
from tests.data.made_up import assert_same_data, random_pixels, store_tfds, write_folder
from tests.data.test_tfds import UNKNOWN, examples, features


@pytest.fixture
def folder(tmp_path):
    pixels = random_pixels(40)
    files = {f"{'cat' if i % 3 else 'dog'}/{i:02d}.png": each for i, each in enumerate(pixels)}
    files["dog/00.png"] = pixels[0, :, :, 0]  # a grey one among them
    return write_folder(tmp_path / "folder", files)


SPLIT = {"seed": 0, "validation_fraction": 0.1}  # by default


def packed(source, tmp_path, **arguments):
    pack(source, tmp_path / "out", **arguments)
    return load_dataset("packed", directory=tmp_path / "out")


@pytest.mark.parametrize("options", [{}, {"flip": True, "first_step": 37, "shard": (1, 4)}])
def test_batches_are_those_of_the_data_set_in_memory(tmp_path, options):
    in_memory, on_disk = load_dataset("digits"), packed("digits", tmp_path)
    assert_same_data(on_disk, in_memory)
    pairs = [
        [training_batches(dataset, 64, seed=3, **options) for dataset in (in_memory, on_disk)],
        [validation_batches(dataset, 50) for dataset in (in_memory, on_disk)],
    ]
    for one, other in pairs:
        assert one.element_spec == other.element_spec
        for expected, given in zip(one.take(30), other.take(30), strict=True):
            for x, y in zip(expected, given, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("options", [{"validation_fraction": 0.25, "seed": 5}, {"image_size": 4}])
def test_a_folder_is_packed_as_it_would_be_loaded(folder, tmp_path, options):
    found = packed(folder, tmp_path, **options)
    assert_same_data(found, load_dataset("folder", directory=folder, **options))
    assert found.split == {name: options.get(name, value) for name, value in SPLIT.items()}


@pytest.mark.parametrize("labelled", [True, False])
def test_a_data_set_of_tfds_is_packed_as_it_would_be_loaded(tmp_path, labelled):
    """With a test split of its own, or with one without labels, which doesn't serve."""
    splits = {"train": examples(1100), "test": examples(9) if labelled else UNKNOWN}
    directory = store_tfds(tmp_path / "tfds", features(), splits)
    dataset = packed("little", tmp_path, directory=directory)
    assert_same_data(dataset, load_dataset("little", directory=directory))
    assert len(dataset.validation_images) == (9 if labelled else 110)


def test_a_file_at_fault_is_named_and_nothing_is_left(folder, tmp_path):
    before = sorted(tmp_path.iterdir())
    (folder / "dog" / "39.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"39\.png cannot be read"):
        packed(folder, tmp_path)
    Image.fromarray(random_pixels(1, (7, 6, 3))[0]).save(folder / "dog" / "39.png")
    with pytest.raises(ValueError, match="`image_size`"):
        packed(folder, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_only_a_packed_folder_is_replaced(folder, tmp_path):
    packed(folder, tmp_path)
    with pytest.raises(FileExistsError, match="--overwrite"):
        packed(folder, tmp_path)
    assert packed(folder, tmp_path, image_size=4, overwrite=True).image_shape == (4, 4, 3)
    with pytest.raises(FileExistsError, match="folder"):
        pack("digits", folder, overwrite=True)


def test_only_a_few_blocks_are_in_memory_while_packing(tmp_path):
    image = random_pixels(1, (64, 64, 3))[0]
    folder = write_folder(tmp_path / "folder", {f"a/{i}.bmp": image for i in range(1500)})
    tracemalloc.start()
    dataset = packed(folder, tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.6 * dataset.images.nbytes


def test_batches_read_the_file_when_they_are_made(folder, tmp_path):
    dataset = packed(folder, tmp_path)
    batches = training_batches(dataset, 8, seed=0), validation_batches(dataset, 4)
    for path in (tmp_path / "out").glob("*_images.npy"):
        np.load(path, mmap_mode="r+")[:] = 0
    for each in batches:
        images, _ = next(iter(each))
        assert (images.numpy() == -1).all()  # black, as the file is now: no copy was made


def test_the_command_says_how_to_train_on_what_it_packed(tmp_path, capsys):
    pack("digits", tmp_path / "out", horizontal_flip="yes")
    said = capsys.readouterr().out
    config = parse(["digits", *said.split("Train on it: ")[1].split()]).config
    dataset = load_dataset(config.data.name, directory=config.data.directory)
    assert len(dataset.images) == 1617
    assert dataset.horizontal_flip
