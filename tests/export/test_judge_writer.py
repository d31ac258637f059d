"""A judge of the digits, trained for real by the command and read by ONNX Runtime."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from kdiffusion.data import load_dataset
from kdiffusion.evaluation.judge import load_judge
from kdiffusion.export.judge_writer import grainy_images

ROOT = Path(__file__).parents[2]


def _command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "kdiffusion", "train_judge", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_grain_is_of_so_many_levels_and_cut_at_the_ends():
    images = np.full((20, 16, 16, 3), 128, np.uint8)
    grainy = grainy_images(images, 10)
    assert grainy.dtype == np.uint8
    assert grainy.std() == pytest.approx(10, rel=0.03)
    assert grainy_images(np.full_like(images, 255), 10).max() == 255


def test_an_output_that_is_there_or_misnamed_is_refused_before_the_work(tmp_path):
    there = tmp_path / "judge.onnx"
    there.write_text("mine")
    for out, words in ((there, "--overwrite"), (tmp_path / "judge", "must end in .onnx")):
        done = _command("digits", "--out", out)
        assert done.returncode == 1
        assert done.stderr.startswith("error:")
        assert words in done.stderr
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]


@pytest.mark.slow
def test_a_judge_of_digits_reads_held_out_ones(tmp_path):
    file = tmp_path / "judge.onnx"
    options = ["--images", 150_000, "--validation-fraction", 0.2, "--dtype-policy", "float32"]
    done = _command("digits", "--out", file, *options)
    assert done.returncode == 0, done.stderr
    assert "held-out images it reads right" in done.stdout
    judge, data = load_judge(file), load_dataset("digits", validation_fraction=0.2)
    images, labels = data.validation_images, data.validation_labels
    read = {
        "clean": np.mean(judge.logits(images).argmax(axis=1) == labels),
        "grain 10": np.mean(judge.logits(grainy_images(images)).argmax(axis=1) == labels),
    }
    assert judge.card.accuracy == pytest.approx(read)
    assert min(read.values()) > 0.97
    assert judge.card.class_names == data.class_names
    assert judge.card.image_shape == (8, 8, 1)
    assert "--images 150000" in judge.card.how_made
    weights = [each for each in onnx.load(file).graph.initializer if np.prod(each.dims) > 256]
    assert {each.data_type for each in weights} == {onnx.TensorProto.FLOAT16}
    assert list(tmp_path.iterdir()) == [file]
