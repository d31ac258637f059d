"""The judge's network, the form in which it is used, and the command that trains one."""

import numpy as np
import pytest
import tyro

from benchmarks.judge.__main__ import main
from benchmarks.judge.network import judge_network, reading_network
from kdiffusion.data import load_dataset
from kdiffusion.parts.evaluation.judge import find_judge, load_judge


def test_both_sides_are_the_mean_of_an_image_and_its_mirror_image():
    network, rng = judge_network((16, 20, 3), 4, 8), np.random.default_rng(0)
    network.set_weights([w + rng.uniform(0.05, 0.3, w.shape) for w in network.get_weights()])
    pixels = rng.integers(0, 256, (5, 16, 20, 3)).astype(np.float32)
    one = reading_network(network, both_sides=False)
    both = reading_network(network, both_sides=True)(pixels)
    for name in ("logits", "features"):
        sides = [np.asarray(one(these)[name]) for these in (pixels, pixels[:, :, ::-1])]
        np.testing.assert_allclose(both[name], np.mean(sides, axis=0), rtol=1e-4)
        assert np.abs(sides[0] - sides[1]).max() > 1e-3


@pytest.mark.slow
def test_the_command_writes_a_judge_that_reads(tmp_path):
    file = tmp_path / "judge.onnx"
    options = ["--images", "30000", "--width", "16", "--dtype-policy", "float32"]
    tyro.cli(main, args=["digits", "--out", str(file), *options])
    judge, digits = load_judge(file), load_dataset("digits")
    right = judge.read(digits.validation_images)[0].argmax(axis=1) == digits.validation_labels
    assert judge.accuracy["clean"] == pytest.approx(right.mean())
    assert right.mean() > 0.9
    assert find_judge("digits", judge.image_shape, judge.class_names).name == "digits"
