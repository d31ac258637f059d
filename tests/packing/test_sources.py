"""Tars of WebDataset as a source of images."""

import pytest

from kdiffusion.packing.sources import index_tar, tar_files
from tests.data.made_up import write_tar


def test_examples_are_found_with_their_place_and_class(tmp_path):
    files = {
        "a/1.png": b"first", "a/1.cls": b"3", "a/1.txt": b"a caption",
        "a/2.JPG": b"the second", "a/2.json": b'{"label": 4, "url": "x"}',
        "a/._1.png": b"macOS's own", "a/1.mask.png": b"no example",
        "b/1.webp": b"third", "b/1.cls": b"0\n", "b/1.json": b"[]",
    }  # fmt: skip
    path = write_tar(tmp_path / "x.tar", files)
    content = path.read_bytes()
    found = index_tar(path)
    assert [(file.name, file.label) for file in found] == [
        ("a/1.png", 3), ("a/2.JPG", 4), ("b/1.webp", 0),
    ]  # fmt: skip
    for file in found:
        assert content[file.offset : file.offset + file.size] == files[file.name]


@pytest.mark.parametrize("files", [{"a/b.png": b"x"}, {"a/b.cls": b"1"}])
def test_an_example_without_its_image_or_label_is_named(tmp_path, files):
    with pytest.raises(ValueError, match=r"x\.tar: the example a/b must have"):
        index_tar(write_tar(tmp_path / "x.tar", files))


def test_one_tar_a_folder_of_them_or_a_range_is_meant(tmp_path):
    for number in range(3):
        (tmp_path / f"s-{number:02d}.tar").touch()
    for other in (".hidden.tar", "s-00_stats.json"):
        (tmp_path / other).touch()
    three = [tmp_path / f"s-{number:02d}.tar" for number in range(3)]
    assert tar_files(tmp_path) == three
    assert tar_files(three[1]) == [three[1]]
    assert tar_files(str(tmp_path / "s-{00..02}.tar")) == three
    assert tar_files("cifar10") == []
