"""Rounding kernels to 8 bits: what each number, each kernel and each channel may be off by."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from kdiffusion.export.onnx_float16 import with_float16_weights
from kdiffusion.export.onnx_int8 import LARGEST, round_to_int8, with_int8_kernels
from tests.onnx_models import make_model

SHAPES = {  # of the kernels of a network that comes back to its size
    "Conv/in": (8, 3, 3, 3),
    "Conv/wide": (300, 8, 3, 3),  # a scale is as long as a kernel of other networks is large
    "Conv/small": (8, 300, 1, 1),
    "Conv/large": (160, 8, 3, 3),
    "ConvTranspose/up": (160, 20, 3, 3),
    "Conv/out": (50, 20, 3, 3),
}


@pytest.fixture
def model():
    """Convolutions one after another; none pads."""
    rng = np.random.default_rng(0)
    kernels = {name: rng.standard_normal(shape) / 10 for name, shape in SHAPES.items()}
    nodes = [
        helper.make_node(name.split("/")[0], [f"map{index}", name], [f"map{index + 1}"])
        for index, name in enumerate(kernels)
    ]
    inputs, outputs = {"map0": ["batch", 3, 9, 9]}, {f"map{len(nodes)}": ["batch", 50, 3, 3]}
    return make_model(nodes, inputs, outputs, kernels)


def test_large_kernels_are_in_8_bits_and_the_rest_in_float16(model):
    stored = with_float16_weights(with_int8_kernels(model))
    onnx.checker.check_model(stored, full_check=True)
    types = {each.name: each.data_type for each in stored.graph.initializer}
    kept = ("Conv/in", "Conv/small", "ConvTranspose/up", "Conv/out")
    assert types == {
        **{f"{name}/float16": TensorProto.FLOAT16 for name in kept},
        **{f"{name}/int8": TensorProto.INT8 for name in ("Conv/wide", "Conv/large")},
        **{f"{name}/scale": TensorProto.FLOAT for name in ("Conv/wide", "Conv/large")},
    }


def test_a_network_without_kernels_of_its_own_stays_as_it_is():
    nodes = [helper.make_node("Relu", ["x"], ["k"]), helper.make_node("Conv", ["x", "k"], ["y"])]
    model = make_model(nodes, {"x": ["batch", 3, 9, 9]}, {"y": None})
    assert [node.op_type for node in with_int8_kernels(model).graph.node] == ["Relu", "Conv"]


def test_onnx_runtime_computes_nearly_the_same(model):
    image = np.random.default_rng(1).standard_normal((2, 3, 9, 9)).astype(np.float32)
    results = [
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"map0": image})[0]
        for each in (model, with_float16_weights(with_int8_kernels(model)))
    ]
    assert 0 < np.abs(results[1] - results[0]).max() < 0.02 * np.abs(results[0]).max()


def test_errors_cancel_in_each_channel_and_nearly_in_each_kernel():
    kernels = np.random.default_rng(0).standard_normal((5, 7, 3, 3)).astype(np.float32)
    rounded, scales = round_to_int8(kernels)
    assert (rounded.dtype, scales.dtype) == (np.int8, np.float32)
    errors = rounded - kernels / scales[:, None, None, None].astype(np.float64)
    assert np.abs(errors).max() < 1.5  # steps; no more than one move a stage
    assert np.abs(errors.sum(axis=(1, 2, 3))).max() <= 0.5 + 1e-6
    of_kernels = np.abs(errors.sum(axis=(2, 3)))
    nearest = np.rint(kernels / scales[:, None, None, None]) - kernels / scales[:, None, None, None]
    assert of_kernels.mean() < 0.5 * np.abs(nearest.sum(axis=(2, 3))).mean()


def test_every_channel_uses_the_whole_of_8_bits():
    kernels = np.random.default_rng(1).standard_normal((4, 3, 3, 3)) * [[[[1e-3]]]]
    kernels[2] *= 1e4
    rounded, _ = round_to_int8(kernels)
    assert np.all(np.abs(rounded).reshape(4, -1).max(axis=1) >= LARGEST - 1)


def test_what_int8_can_hold_stays_as_it_is():
    kernels = np.random.default_rng(2).integers(-LARGEST, LARGEST + 1, (3, 4, 3, 3))
    kernels[:, 0, 0, 0] = LARGEST
    rounded, scales = round_to_int8(kernels * 0.25)
    np.testing.assert_array_equal(rounded, kernels)
    np.testing.assert_array_equal(scales, np.float32(0.25))


def test_kernels_of_zeros_stay_zeros():
    rounded, scales = round_to_int8(np.zeros((2, 3, 3, 3), np.float32))
    assert not rounded.any()
    assert np.all(np.isfinite(scales))
