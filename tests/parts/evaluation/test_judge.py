"""A judge reads by its own network; those that come with the package are small and read well."""

import numpy as np
import pytest

from kdiffusion.parts.evaluation import judge as room
from kdiffusion.parts.evaluation.judge import find_judge, judge_names, load_judge

LARGEST_BYTES = 5_000_000


def test_it_reads_what_its_network_computes(judge_file):
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 6, 1), np.uint8)
    judge = load_judge(judge_file)
    assert (judge.name, judge.class_names, judge.accuracy) == (
        "toy", ("dark", "bright"), {"clean": 1.0},
    )  # fmt: skip
    halves = np.stack([images[:, :2].mean(axis=(1, 2, 3)), images[:, 2:].mean(axis=(1, 2, 3))], 1)
    logits, features = judge.read(images)
    np.testing.assert_allclose(features, halves, rtol=1e-5)
    np.testing.assert_allclose(logits[:, 1], halves.sum(axis=1), rtol=1e-5)


def test_the_judge_of_a_data_set_is_found_by_what_it_reads(judge_file, monkeypatch):
    monkeypatch.setattr(room, "JUDGES", judge_file.parent)
    shape, names = (4, 6, 1), ("dark", "bright")
    assert find_judge("toy", shape, names).name == "toy"
    assert find_judge("toy", (8, 8, 1), names) is None
    assert find_judge("other", shape, names) is None


@pytest.mark.parametrize("name", judge_names())
def test_one_that_comes_with_the_package_is_small_and_withstands_grain(name):
    judge = load_judge(name)
    assert (room.JUDGES / f"{name}.onnx").stat().st_size <= LARGEST_BYTES
    assert judge.accuracy["clean"] > 0.9
    assert judge.accuracy["grain 10"] > 0.85
    images = np.random.default_rng(0).integers(0, 256, (4, *judge.image_shape), np.uint8)
    one, other = judge.read(images), judge.read(images[:, :, ::-1])
    assert np.abs(one[0][0] - one[0][1]).max() > 0.01
    if name != "digits":  # the mirror image of a digit is another sign
        for values, mirrored in zip(one, other, strict=True):
            np.testing.assert_allclose(mirrored, values, atol=1e-3)
