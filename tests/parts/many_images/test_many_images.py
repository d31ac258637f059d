"""Many images in files: those of their seeds, each once, whoever samples them and however often."""

import re

import numpy as np
import pytest
from PIL import Image

import kdiffusion as kd
from kdiffusion.__main__ import main
from kdiffusion.commands.seed_files import sample_to_folder
from kdiffusion.parts.many_images import SEED_FILE_FORMATS

SEEDS = range(5, 15)
LABELS = [0, 1, 2, 3]  # with no class
FEW = ["--seeds", "5:15", "--images-per-file", 4, "--labels", "all", "none", "--steps", 2]


@pytest.fixture
def run(toy):
    """`run(ARGUMENTS...)`: the command, on the toy denoiser."""
    return lambda *arguments: main(["sample_many", str(toy), *map(str, arguments)])


def _of_parquet(folder):
    from datasets import Dataset

    files = [str(path) for path in sorted(folder.glob("*.parquet"))]
    rows = Dataset.from_parquet(files, cache_dir=str(folder / "cache"))
    assert rows.features["label"].names == ["cat", "dog", "ape", "none"]
    for row in rows:
        yield row["seed"], row["label"], row["image"]


def _of_png(folder):
    for path in sorted(folder.glob("*/*.png")):
        seed, label = re.fullmatch(r"(\d+)_label(\d)\.png", path.name).groups()
        yield int(seed), int(label), Image.open(path)


def _of_npz(folder):
    for path in sorted(folder.glob("images_*.npz")):
        with np.load(path) as arrays:
            yield from zip(arrays["seeds"], arrays["labels"], arrays["images"], strict=True)


READERS = {"npz": _of_npz, "parquet": _of_parquet, "png": _of_png}


def _check(toy, folder, read=_of_npz):
    seeds, labels, images = zip(*read(folder), strict=True)
    expected = [LABELS[seed % 4] for seed in SEEDS]
    assert ([*seeds], [*labels]) == ([*SEEDS], expected)
    sampled = kd.sample(kd.load_denoiser(toy), expected, SEEDS, steps=2, progress=False)
    np.testing.assert_array_equal(np.stack(images), kd.to_uint8(sampled))


def test_shards_make_the_job_and_what_is_there_is_skipped(run, toy, tmp_path, capsys):
    out = tmp_path / "many"
    for shard, said in (("2/2", "4 images"), ("1/2", "6 images"), ("1/1", "0 images")):
        run(*FEW, "--shard", shard, "--out", out)
        assert capsys.readouterr().out.startswith(f"{said} (ddim, 2 steps, guidance strength 1)")
    _check(toy, out)
    (lost, *others) = sorted(out.glob("*.npz"))
    assert len(others) == 2
    before = [path.stat().st_mtime_ns for path in others]
    lost.unlink()
    run(*FEW, "--out", out, "--batch-size", 3)
    assert "4 images" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in others] == before
    _check(toy, out)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--steps", 3], "other settings: steps"),
        (["--images-per-file", 5], "overlaps images_00000005-00000009.npz"),
    ],
)
def test_a_folder_of_another_job_is_refused(run, toy, tmp_path, change, said):
    out = tmp_path / "many"
    run(*FEW, "--out", out)
    with pytest.raises(SystemExit, match=said):
        run(*FEW, "--out", out, *change)
    _check(toy, out)


def test_a_folder_of_another_model_is_refused(toy, tmp_path):
    first = kd.load_denoiser(toy)
    second = kd.NetworkDenoiser(first.card, lambda x, t, y: first(x, t, y) + np.float32(0.01))
    sample_to_folder(first, LABELS, SEEDS, tmp_path / "many", progress=False)
    with pytest.raises(ValueError, match="other settings: model"):
        sample_to_folder(second, LABELS, SEEDS, tmp_path / "many", progress=False)


def test_more_seeds_can_follow_in_the_same_folder(toy, tmp_path):
    denoiser = kd.load_denoiser(toy)
    for seeds in (range(5, 10), range(10, 15)):
        sample_to_folder(denoiser, LABELS, seeds, tmp_path / "many", steps=2, progress=False)
    _check(toy, tmp_path / "many")


@pytest.mark.parametrize("name", SEED_FILE_FORMATS)
def test_each_format_is_read_by_its_own_library(run, toy, tmp_path, name):
    run(*FEW, "--format", name, "--out", tmp_path)
    _check(toy, tmp_path, READERS[name])
