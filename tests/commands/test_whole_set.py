"""A large set for the tools of others: whole or absent, from shards, and resumed by seed."""

import io
import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands.drawn_files import read_folder
from kdiffusion.commands.sample import main
from kdiffusion.data.webdataset import index_tar
from kdiffusion.evaluation.image_sets import open_images
from kdiffusion.evaluation.written_sets import WRITTEN_SETS


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
    with Image.open(tmp_path / "pngs" / f"{seeds[5]:08d}_label{labels[5]}.png") as opened:
        np.testing.assert_array_equal(opened, images[5])


def _drawn(tmp_path):
    files = read_folder(tmp_path / "drawn")
    return [np.concatenate(parts) for parts in zip(*files, strict=True)]


def test_tars_hold_what_was_drawn_and_training_reads_them(toy, tmp_path):
    _main(toy, tmp_path, webdataset=tmp_path / "tars")
    images, labels, seeds = _drawn(tmp_path)
    tars = sorted((tmp_path / "tars").glob("*.tar"))
    assert [tar.name for tar in tars] == [f"images-{number:06d}.tar" for number in range(3)]
    examples = [(tar, *example) for tar in tars for example in index_tar(tar)]
    assert [name for _, name, *_ in examples] == [f"{seed:08d}.png" for seed in seeds]
    assert [label for *_, label in examples] == labels.tolist()
    for (tar, _, offset, size, _), image in zip(examples, images, strict=True):
        content = tar.read_bytes()[offset : offset + size]
        np.testing.assert_array_equal(Image.open(io.BytesIO(content)), image)
    before = [tar.read_bytes() for tar in tars]
    shutil.rmtree(tmp_path / "drawn")
    _main(toy, tmp_path, webdataset=tmp_path / "tars", overwrite=True)
    assert [tar.read_bytes() for tar in tars] == before


def test_parquet_holds_what_was_drawn(toy, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    _main(toy, tmp_path, parquet=tmp_path / "set.parquet")
    images, labels, seeds = _drawn(tmp_path)
    table = parquet.read_table(tmp_path / "set.parquet")
    assert table["seed"].to_pylist() == seeds.tolist()
    assert table["label"].to_pylist() == labels.tolist()
    opened = [Image.open(io.BytesIO(row["bytes"])) for row in table["image"].to_pylist()]
    np.testing.assert_array_equal(np.stack([np.asarray(each) for each in opened]), images)
    hints = json.loads(table.schema.metadata[b"huggingface"])
    assert set(hints["info"]["features"]) == set(table.column_names)


def test_without_pyarrow_nothing_is_drawn(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match="pyarrow"):
        _main(toy, tmp_path, parquet=tmp_path / "set.parquet")
    assert os.listdir(tmp_path) == ["toy.onnx"]


def test_every_missing_file_is_named(toy, tmp_path):
    """Of this part, that none of the others has drawn."""
    with pytest.raises(ValueError, match="lacks 2 of 3 files") as caught:
        _main(toy, tmp_path, shard="2/3", arr_0=tmp_path / "set.npz")
    for name in ("images_00000003-00000006.npz", "images_00000011-00000012.npz"):
        assert name in str(caught.value)


@pytest.mark.parametrize("option", WRITTEN_SETS)
def test_shards_of_two_jobs_are_not_one_set(toy, tmp_path, option):
    _main(toy, tmp_path)
    file, other = "images_00000007-00000010.npz", tmp_path / "other"
    main(toy, seeds="3:13", images_per_file=4, out=other, labels=("cat",))
    shutil.copy(other / file, tmp_path / "drawn")
    with pytest.raises(ValueError, match=rf"{file} is of another job: labels was \[0\]"):
        _main(toy, tmp_path, shard="1/3", **{option: tmp_path / "set"})
    shutil.copy(tmp_path / "drawn" / "images_00000003-00000006.npz", tmp_path / "drawn" / file)
    with pytest.raises(ValueError, match=rf"{file} must hold the seeds 7 to 10, each once"):
        _main(toy, tmp_path, shard="1/3", **{option: tmp_path / "set"})
    assert not (tmp_path / "set").exists()


def test_they_appear_when_the_last_shard_is_drawn(toy, tmp_path):
    for shard in ("1/3", "2/3"):
        with pytest.raises(
            ValueError, match=r"lacks 2 of 3 files: images_0|lacks 1 of 3 files: images_0"
        ):
            _main(toy, tmp_path, shard=shard, png_folder=tmp_path / "pngs")
        assert os.listdir(tmp_path / "drawn")
        assert not (tmp_path / "pngs").exists()
    _main(toy, tmp_path, shard="3/3", png_folder=tmp_path / "pngs")
    assert len(list((tmp_path / "pngs").glob("*.png"))) == 10


@pytest.mark.parametrize("option", WRITTEN_SETS)
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


@pytest.mark.parametrize("out", ["both", "both/drawn", "else/../both"])
def test_a_set_in_the_place_of_the_images_is_refused_before_they_are_drawn(toy, tmp_path, out):
    with pytest.raises(ValueError, match="`png_folder` must be another place than `out`"):
        main(toy, seeds="0:4", out=tmp_path / out, png_folder=tmp_path / "both")
    assert sorted(os.listdir(tmp_path)) == ["toy.onnx"]


def test_a_grid_has_neither(toy, tmp_path):
    for name, value in {"arr_0": tmp_path / "set.npz", "images_per_file": 7}.items():
        with pytest.raises(ValueError, match=f"`{name}` is for many .* pass `--seeds FIRST:END`"):
            main(toy, out=tmp_path / "grid.png", **{name: value})
