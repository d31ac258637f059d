"""Outputs of a command appear together, and never over others."""

import numpy as np
import pytest
from PIL import Image

from kdiffusion.__main__ import main
from kdiffusion.commands.outputs import (
    FILMS,
    IMAGES,
    LARGEST_SIDES,
    refuse_names,
    refuse_outputs,
    refuse_size,
    write_outputs,
)


@pytest.fixture
def image():
    return Image.new("RGB", (8, 6), "red")


def test_each_kind_of_content_is_written(tmp_path, image):
    png, gif, npz = tmp_path / "a.png", tmp_path / "new" / "a.gif", tmp_path / "a.arrays"
    blue = Image.new("RGB", (8, 6), "blue")
    contents = {png: image, gif: [image, blue], npz: {"seeds": np.arange(3)}, None: image}
    assert write_outputs(contents, overwrite=False) == f"{png}, {gif}, {npz}"
    with Image.open(png) as opened:
        np.testing.assert_array_equal(opened, image)
    with Image.open(gif) as opened:
        assert opened.format == "GIF"
        assert opened.n_frames == 2
    assert np.load(npz)["seeds"].tolist() == [0, 1, 2]


def test_when_one_fails_none_appears(tmp_path, image):
    contents = {tmp_path / "a.png": image, tmp_path / "a.gif": []}
    with pytest.raises(ValueError, match="frames"):
        write_outputs(contents, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_unless_told(tmp_path, image):
    path = tmp_path / "a.png"
    path.write_text("mine")
    for refused in (
        lambda: refuse_outputs(tmp_path / "b.png", None, path, overwrite=False),
        lambda: write_outputs({tmp_path / "b.png": image, path: image}, overwrite=False),
    ):
        with pytest.raises(FileExistsError, match=r"a\.png exists"):
            refused()
    assert [(child.name, child.read_text()) for child in tmp_path.iterdir()] == [("a.png", "mine")]
    refuse_outputs(path, overwrite=True)
    write_outputs({path: image}, overwrite=True)
    assert Image.open(path).size == (8, 6)


def test_one_file_for_two_outputs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must differ"):
        refuse_outputs(tmp_path / "a", tmp_path / "." / "a", overwrite=True)


@pytest.mark.parametrize("ending", [*IMAGES, ".PNG", ".Jpg"])
def test_an_image_is_what_its_name_says(tmp_path, image, ending):
    path = tmp_path / f"a{ending}"
    refuse_names(images=[path, None])
    write_outputs({path: image}, overwrite=False)
    with Image.open(path) as opened:
        assert opened.format == IMAGES[ending.lower()]["format"]
        assert np.abs(np.asarray(opened).astype(int) - np.asarray(image)).max() <= 2


@pytest.mark.parametrize("name", ["a.gif", "a.bmp", "a.eps", "a", "png", ".png"])
def test_a_name_that_says_something_else_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in one of \.png, \.jpg, .*Received"):
        refuse_names(images=[tmp_path / "b.png", tmp_path / name])


def test_a_film_is_a_gif(tmp_path):
    refuse_names(films=[tmp_path / "a.gif"])
    with pytest.raises(ValueError, match=r"a film must end in one of \.gif. Received"):
        refuse_names(films=[tmp_path / "a.mp4"])


@pytest.mark.parametrize("ending", LARGEST_SIDES)
def test_a_side_that_its_format_has_no_room_for_is_refused_and_no_other(tmp_path, ending):
    most = LARGEST_SIDES[ending]
    path = tmp_path / f"a{ending}"
    image = [Image.new("RGB", (most, 1))] if ending in FILMS else Image.new("RGB", (most, 1))
    refuse_size(path, (most, 1))
    write_outputs({path: image}, overwrite=False)
    with pytest.raises(ValueError, match="pixels a side, and 500,000,000 pixels in all"):
        refuse_size(path, (1, most + 1))
    image = Image.new("RGB", (1, most + 1))
    with pytest.raises((OSError, ValueError, OverflowError)):  # Pillow's own, after the work
        write_outputs({path: [image] if ending in FILMS else image}, overwrite=True)


def test_a_film_has_all_its_frames_in_memory(tmp_path):
    refuse_size(tmp_path / "a.gif", (10_000, 1_000), frames=50)
    with pytest.raises(ValueError, match=r"The film must .*Received: 51 frames of 10,000x1,000"):
        refuse_size(tmp_path / "a.gif", (10_000, 1_000), frames=51)


def test_an_image_beyond_memory_is_refused_before_it_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["sample", "digits", "--per-label", "3000", "--scale", "256"])
    assert "at most 500,000,000 pixels in all" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
