"""A folder of images: what is read, in which order, and which file is at fault."""

import os
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from kdiffusion.data import load_dataset
from kdiffusion.data.folder import list_images
from kdiffusion.data.resize import fit_image


def random_image(seed, height=6, width=6, channels=3):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def files(**options):
    return {
        f"{name}/{index}.png": random_image(10 * row + index, **options)
        for row, name in enumerate(("cat", "ant", "bee"))
        for index in range(4)
    }


def load(directory, **arguments):
    return load_dataset("folder", directory=directory, validation_fraction=0.25, **arguments)


def all_images(dataset):
    """{pixels: class name} over both parts."""
    parts = (
        (dataset.images, dataset.labels),
        (dataset.validation_images, dataset.validation_labels),
    )
    return {
        image.tobytes(): dataset.class_names[label]
        for images, labels in parts
        for image, label in zip(images, labels, strict=True)
    }


@pytest.mark.parametrize("channels", [3, None], ids=["colour", "grey"])
def test_pixels_and_classes_are_those_of_the_files(write_folder, channels):
    written = files(channels=channels)
    dataset = load(write_folder(written))
    assert dataset.image_shape == (6, 6, channels or 1)
    assert dataset.class_names == ("ant", "bee", "cat")
    assert not dataset.horizontal_flip
    assert all_images(dataset) == {
        pixels.tobytes(): name.split("/")[0] for name, pixels in written.items()
    }
    np.testing.assert_array_equal(np.bincount(dataset.validation_labels), [1, 1, 1])


def test_one_colour_image_makes_all_rgb(write_folder):
    written = files(channels=None)
    dataset = load(write_folder({**written, "ant/colour.png": random_image(99)}))
    assert dataset.image_shape == (6, 6, 3)
    grey = np.repeat(written["bee/0.png"][..., None], 3, axis=-1)
    assert all_images(dataset)[grey.tobytes()] == "bee"
    assert all_images(dataset)[random_image(99).tobytes()] == "ant"


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".gif", ".webp", ".tif"])
def test_other_formats_are_read(write_folder, suffix):
    flat = np.full((6, 6, 3), 255, np.uint8)
    dataset = load(write_folder({**files(), f"ant/flat{suffix}": flat}))
    assert all_images(dataset)[flat.tobytes()] == "ant"


@pytest.mark.parametrize(("channels", "kept"), [(4, slice(3)), (2, slice(1))])
def test_transparent_pixels_are_white(write_folder, channels, kept):
    pixels = random_image(99, channels=channels)
    pixels[..., -1] = 255
    pixels[:3, ..., -1] = 0
    grey = channels == 2
    dataset = load(
        write_folder({**files(channels=None if grey else 3), "ant/transparent.png": pixels})
    )
    expected = pixels[..., kept].copy()
    expected[:3] = 255
    assert all_images(dataset)[expected.tobytes()] == "ant"


def test_a_photograph_is_turned_upright(write_folder):
    directory = write_folder(files())
    exif = Image.Exif()
    exif[0x0112] = 3  # Orientation: turned by half a circle
    Image.fromarray(random_image(99)).save(directory / "ant" / "turned.png", exif=exif)
    assert all_images(load(directory))[random_image(99)[::-1, ::-1].tobytes()] == "ant"


def test_image_size_brings_all_to_one_size(write_folder):
    mixed = {**files(), "ant/large.png": np.full((20, 31, 3), 9, np.uint8)}
    dataset = load(write_folder(mixed), image_size=5)
    assert dataset.image_shape == (5, 5, 3)
    assert all_images(dataset)[np.full((5, 5, 3), 9, np.uint8).tobytes()] == "ant"


def test_a_grey_image_among_coloured_ones_is_resized_as_if_it_had_colours(write_folder):
    grey = random_image(99, height=40, width=31, channels=None)
    dataset = load(write_folder({**files(), "ant/grey.png": grey}), image_size=5)
    expected = fit_image(np.repeat(grey[..., None], 3, axis=-1), 5)
    assert all_images(dataset)[expected.tobytes()] == "ant"


def test_of_a_photograph_no_more_is_kept_than_its_resized_image(write_folder):
    large = np.zeros((500, 500, 3), np.uint8)
    directory = write_folder({f"a/{index}.png": large for index in range(12)})
    tracemalloc.start()
    load(directory, image_size=5)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * large.nbytes


def test_hidden_files_and_files_beside_the_classes_are_passed_over(write_folder):
    directory = write_folder(files())
    (directory / "ant" / ".DS_Store").write_bytes(b"no image")
    (directory / ".cache").mkdir()
    (directory / "LICENSE").write_text("no image")
    assert len(all_images(load(directory))) == 12


def test_the_order_is_that_of_the_names(write_folder):
    directory = write_folder(files())
    first, again = load(directory), load(str(directory))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (np.diff(first.labels) >= 0).all()


@pytest.mark.parametrize("cut", [0, 1, 8, 40, 90])
def test_a_damaged_file_is_named(write_folder, cut):
    directory = write_folder(files())
    whole = (directory / "bee" / "2.png").read_bytes()
    (directory / "bee" / "2.png").write_bytes(whole[:cut])
    with pytest.raises(ValueError, match=r"bee/2\.png cannot be read as an image") as caught:
        load(directory)
    assert caught.value.__cause__ is not None


def test_any_flipped_byte_is_named_or_harmless(write_folder):
    directory = write_folder({"a/0.png": random_image(0), "a/1.png": random_image(1)})
    whole = (directory / "a" / "0.png").read_bytes()

    def complaint(position):
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        (directory / "a" / "0.png").write_bytes(damaged)
        try:
            load(directory)
        except ValueError as error:
            return str(error)
        return None

    complaints = [complaint(position) for position in range(len(whole))]
    assert all("0.png" in each for each in complaints if each is not None)
    assert sum(each is not None for each in complaints) > len(whole) / 2


def test_a_file_that_is_no_image_is_named(write_folder):
    directory = write_folder(files())
    (directory / "cat" / "notes.txt").write_text("a note")
    with pytest.raises(ValueError, match=r"cat/notes\.txt cannot be read as an image"):
        load(directory)


def test_a_nested_folder_is_named(write_folder):
    directory = write_folder(files())
    (directory / "cat" / "more").mkdir()
    with pytest.raises(ValueError, match="cat/more cannot be read as an image"):
        load(directory)


def test_a_file_of_another_size_is_named(write_folder):
    directory = write_folder({**files(), "cat/wide.png": random_image(99, width=8)})
    with pytest.raises(ValueError, match=r"cat/wide\.png is 8x6 pixels where .* is 6x6 pixels"):
        load(directory)


def test_more_than_eight_bits_are_refused(write_folder):
    directory = write_folder(files(channels=None))
    Image.fromarray(np.full((6, 6), 40000, np.uint16)).save(directory / "bee" / "deep.png")
    with pytest.raises(ValueError, match=r"bee/deep\.png must have 8 bits a sample"):
        load(directory)


def test_missing_things_are_named(tmp_path, write_folder):
    with pytest.raises(ValueError, match="`directory` must be given for 'folder'"):
        load(None)
    with pytest.raises(ValueError, match=r"`directory` must be a folder\. Received: .*nowhere"):
        load(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match=r"`directory` must hold a sub-folder .* each class"):
        load(tmp_path / "bare")
    directory = write_folder(files())
    (directory / "dog").mkdir()
    with pytest.raises(ValueError, match="dog has no images"):
        load(directory)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_class_whose_name_is_no_text_is_refused(write_folder):
    folder = write_folder({"café/0.png": np.zeros((4, 4), np.uint8)})
    assert list(list_images(folder)) == ["café"]
    (folder / "café").rename(folder / os.fsdecode(b"caf\xe9"))
    with pytest.raises(ValueError, match=r"must be UTF-8.*Received: b'caf\\xe9' in "):
        list_images(folder)
