"""What `likelihood` and `evaluate` are asked for is what they take."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands import evaluate, likelihood
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.likelihood import variational_bound
from tests.commands.test_likelihood import digits_file, write_digits_file  # noqa: F401


def test_the_variance_that_is_named_is_the_one_that_is_taken(digits_file, capsys):  # noqa: F811
    likelihood.main(digits_file, images=3, steps=5, variance="fixed_small")
    total = float(capsys.readouterr().out.splitlines()[1].split()[2])
    digits = load_dataset("digits")
    rows = likelihood.spread_over_classes(digits.validation_labels, 3)
    bound = variational_bound(
        load_denoiser(digits_file), digits.validation_images[rows],
        digits.validation_labels[rows], range(3), steps=5, variance="fixed_small", progress=False,
    )  # fmt: skip
    assert total == pytest.approx(bound.total.mean(), abs=1e-4)


def test_a_network_of_ones_own_is_given_pixels_in_the_range_that_is_asked_for(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["x"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Flatten", ["small"], ["features"]),
        ],
        "means",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4])],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "n.onnx")
    digits = load_dataset("digits")
    np.savez(tmp_path / "set.npz", arr_0=digits.validation_images // 2)
    found = []
    for feature_range in ((0.0, 255.0), (0.0, 1.0)):
        out = tmp_path / str(feature_range[1])
        evaluate.main(
            tmp_path / "set.npz", data="digits", measures=("frechet",), out=out,
            features=str(tmp_path / "n.onnx"), feature_range=feature_range,
        )  # fmt: skip
        found.append(json.loads((out / "evaluation.json").read_text())["frechet_distance"])
    assert found[0] == pytest.approx(255**2 * found[1], rel=1e-3)
