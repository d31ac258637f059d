"""The rule that rewrites the mean square of a norm, on graphs made by hand and by Keras."""

import collections

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from kdiffusion.export.onnx_graph import simplify
from tests.onnx_models import make_model

CHANNELS, SIDE = 12, 4


def _group_mean(size):
    return np.kron(np.eye(CHANNELS // size), np.full((size, size), 1 / size)).astype("float32")


def _model(matrix, axes=(2, 3), flat=(-1, CHANNELS)):
    """The mean over `axes` of the square of a map, times a matrix."""
    constants = {"axes": axes, "flat": flat, "matrix": matrix}
    nodes = [
        helper.make_node("Mul", ["map", "map"], ["square"]),
        helper.make_node("ReduceMean", ["square", "axes"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "flat"], ["flattened"]),
        helper.make_node("MatMul", ["flattened", "matrix"], ["result"]),
    ]
    inputs, outputs = {"map": ["batch", CHANNELS, SIDE, SIDE]}, {"result": ["batch", *flat[1:]]}
    return make_model(nodes, inputs, outputs, constants)


def _run(model, x):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"map": x})[0]


def _operations(model):
    return collections.Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("size", [1, 3, 4, 12])
@pytest.mark.parametrize("batch", [1, 5])
def test_the_mean_square_of_groups_becomes_a_product_with_the_same_numbers(size, batch):
    x = np.random.default_rng(0).normal(2.0, 3.0, (batch, CHANNELS, SIDE, SIDE)).astype("float32")
    model = _model(_group_mean(size))
    simpler = simplify(model)
    assert "ReduceMean" not in _operations(simpler)
    np.testing.assert_allclose(_run(simpler, x), _run(model, x), rtol=1e-5)
    grouped = np.square(x).reshape(batch, CHANNELS // size, -1).mean(-1).repeat(size, axis=1)
    np.testing.assert_allclose(_run(simpler, x), grouped, rtol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        _model(np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS)).astype("float32")),
        _model(np.roll(_group_mean(4), 1, axis=0)),
        _model(_group_mean(4), axes=(3, 2)),
        _model(_group_mean(4), flat=(-1, 1, CHANNELS)),
    ],
    ids=["any matrix", "groups that are not neighbours", "other axes", "another shape"],
)
def test_what_only_looks_like_it_is_left_alone(model):
    assert _operations(simplify(model)) == _operations(model)
