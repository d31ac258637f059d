"""WebDataset tars: which are meant, what is in them, and which example is at fault."""

import io
import tarfile

import pytest

from kdiffusion.data.webdataset import index_tar, tar_files


@pytest.fixture
def write_tar(tmp_path):
    """A function that writes {name: bytes} into a tar and returns its path."""

    def write(files, name="x.tar", mode="w"):
        with tarfile.open(tmp_path / name, mode) as tar:
            for file, content in files.items():
                entry = tarfile.TarInfo(file)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return tmp_path / name

    return write


def test_examples_are_found_with_their_place_and_class(write_tar):
    files = {
        "a/1.png": b"first", "a/1.cls": b"3", "a/1.txt": b"a caption",
        "a/2.JPG": b"the second", "a/2.json": b'{"label": 4, "url": "x"}',
        "a/._1.png": b"macOS's own",
        "b/1.x.png": b"no example", "b/1.webp": b"third", "b/1.cls": b"0\n", "b/1.json": b"[]",
        "/1.png": b"fourth", "/1.cls": b"5", "/2.png": b"fifth", "/2.cls": b"6",
    }  # fmt: skip
    path = write_tar(files)
    content = path.read_bytes()
    found = index_tar(path)
    assert [(name, label) for name, _, _, label in found] == [
        ("a/1.png", 3), ("a/2.JPG", 4), ("b/1.webp", 0), ("/1.png", 5), ("/2.png", 6),
    ]  # fmt: skip
    for name, offset, size, _ in found:
        assert content[offset : offset + size] == files[name]


def test_names_keep_letters_that_are_longer_when_small(write_tar):
    files = {"İ.png": b"first", "İ.cls": b"1", "İx.PNG": b"second", "İx.cls": b"2"}
    found = index_tar(write_tar(files))
    assert [(name, label) for name, _, _, label in found] == [("İ.png", 1), ("İx.PNG", 2)]
    with pytest.raises(ValueError, match=r"the example a/İx has no label"):
        index_tar(write_tar({"a/İx.png": b"x"}))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.png": b"x"}, "the example a has no label"),
        ({"a/b.cls": b"1"}, "the example a/b has no image"),
        (
            {"a.png": b"x", "d/a.cls": b"cat"},
            r"x\.tar: d/a\.cls must hold a whole number, .* Received: b'cat'",
        ),
        ({"a.png": b"x", "a.cls": b""}, r"x\.tar: a\.cls must hold .* Received: b''"),
        ({"a.png": b"x", "a.cls": b"\xff" * 99}, r"Received: b'(\\xff){20}'$"),
        ({"a.png": b"x", "a.json": b'{"label": "cat"}'}, "the example a has no label"),
        ({"a.png": b"x", "a.json": b"{"}, r"x\.tar: a\.json must be JSON with .* Received: b'{'"),
        ({"a.jpg": b"x", "a.png": b"mask", "a.cls": b"1"}, "the example a has 2 images"),
        ({"a.png": b"x", "a.cls": b"1", "a.json": b'{"label": 2}'}, "the example a has 2 labels"),
        ({"b/1.5.jpg": b"x", "b/1.5.cls": b"1"}, "the example b/1 has no image"),
    ],
)
def test_an_example_without_just_one_image_and_label_is_named(write_tar, files, said):
    with pytest.raises(ValueError, match=said):
        index_tar(write_tar(files))


@pytest.mark.parametrize("damage", ["flipped", "cut in a header", "cut before a header", "no end"])
def test_a_tar_that_is_not_whole_is_refused(write_tar, damage):
    path = write_tar({f"{i}.{kind}": b"1" for i in range(5) for kind in ("png", "cls")})
    content, header = bytearray(path.read_bytes()), 4 * 1024
    if damage == "flipped":
        content[header] ^= 1
    else:
        ends = {"cut in a header": header + 100, "cut before a header": header, "no end": 10 * 1024}
        content = content[: ends[damage]]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be read as .*: at byte .* nor with the mark of"):
        index_tar(path)


def test_a_compressed_tar_is_refused(write_tar):
    with pytest.raises(ValueError, match="uncompressed WebDataset tar"):
        index_tar(write_tar({"a.png": b"x"}, mode="w:gz"))


def test_one_tar_a_folder_of_them_or_a_range_is_meant(tmp_path):
    for number in range(3):
        (tmp_path / f"s-{number:02d}.tar").touch()
    (tmp_path / ".hidden").touch()
    three = [tmp_path / f"s-{number:02d}.tar" for number in range(3)]
    assert tar_files(tmp_path) == three
    assert tar_files(three[1]) == [three[1]]
    assert tar_files(str(tmp_path / "s-{00..02}.tar")) == three
    assert tar_files("cifar10") == []
    (tmp_path / "s-00_stats.json").touch()  # as img2dataset leaves
    assert tar_files(tmp_path) == three
    (tmp_path / "cat").mkdir()
    assert tar_files(tmp_path) == []
