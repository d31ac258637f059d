"""Which numbers of a graph are stored as float16, and which must not be."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from kdiffusion.export.onnx_float16 import with_float16_weights
from tests.onnx_models import make_model

CHANNELS = 256  # wide: a bias is as long as a kernel of other networks is large


@pytest.fixture
def model():
    """A convolution with tiny weights and a bias, and a product with a matrix of one number."""
    rng = np.random.default_rng(0)
    constants = {
        "kernel": 1e-6 * rng.standard_normal((CHANNELS, 3, 3, 3)),
        "bias": rng.standard_normal(CHANNELS),
        "mean": np.full((CHANNELS, CHANNELS), 1 / 6),
        "dense": rng.standard_normal((CHANNELS, 8)),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mean"], ["averaged"]),
        helper.make_node("MatMul", ["averaged", "dense"], ["result"]),
    ]
    return make_model(nodes, {"image": ["batch", 3, 5, 5]}, {"result": ["batch", 8]}, constants)


def _types(model):
    return {each.name: each.data_type for each in model.graph.initializer}


def test_kernels_and_matrices_are_rounded_biases_and_constants_are_not(model):
    types = _types(with_float16_weights(model))
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    assert types == {"kernel/float16": half, "dense/float16": half, "bias": single, "mean": single}
