"""A large set for the tools of others: whole or absent, from shards, and resumed by seed."""

import os

import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands.sample import main
from kdiffusion.commands.shards import read_folder
from kdiffusion.evaluation.image_sets import open_images


def _main(toy, tmp_path, **options):
    main(toy, seeds="3:13", images_per_file=4, out=tmp_path / "drawn", **options)


def test_both_kinds_hold_what_was_drawn(toy, tmp_path):
    _main(toy, tmp_path, png_folder=tmp_path / "pngs", arr_0=tmp_path / "set.npz")
    images, labels, seeds = (
        np.concatenate(parts) for parts in zip(*read_folder(tmp_path / "drawn"), strict=True)
    )
    for path in (tmp_path / "pngs", tmp_path / "set.npz"):
        found = open_images(path)
        np.testing.assert_array_equal(np.concatenate(list(found.read())), images)
        np.testing.assert_array_equal(found.labels, labels)
    with Image.open(tmp_path / "pngs" / f"{seeds[5]:08d}_label{labels[5]}.png") as picture:
        np.testing.assert_array_equal(picture, images[5])


def test_they_appear_when_the_last_shard_is_drawn(toy, tmp_path):
    for shard in ("1/3", "2/3"):
        with pytest.raises(ValueError, match="draw the other shards"):
            _main(toy, tmp_path, shard=shard, png_folder=tmp_path / "pngs")
        assert os.listdir(tmp_path / "drawn")
        assert not (tmp_path / "pngs").exists()
    _main(toy, tmp_path, shard="3/3", png_folder=tmp_path / "pngs")
    assert len(list((tmp_path / "pngs").glob("*.png"))) == 10


@pytest.mark.parametrize("option", ["png_folder", "arr_0"])
def test_a_damaged_file_leaves_nothing_and_an_earlier_set_stays(toy, tmp_path, option):
    _main(toy, tmp_path)
    file = tmp_path / "drawn" / "images_00000007-00000010.npz"
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole):
        file.write_bytes(damaged)
        if damaged is whole:
            _main(toy, tmp_path, **{option: tmp_path / "set.npz"})
            continue
        with pytest.raises(ValueError, match="is not a whole file of images"):
            _main(toy, tmp_path, **{option: tmp_path / "set.npz"})
        assert sorted(os.listdir(tmp_path)) == ["drawn", "toy.onnx"]
    before = (tmp_path / "set.npz").stat()
    with pytest.raises(FileExistsError):
        _main(toy, tmp_path, **{option: tmp_path / "set.npz"})
    assert (tmp_path / "set.npz").stat() == before


def test_a_grid_has_neither(toy, tmp_path):
    with pytest.raises(ValueError, match="pass `--seeds FIRST:END` too"):
        main(toy, out=tmp_path / "grid.png", arr_0=tmp_path / "set.npz")
