"""Which weights are rounded to float16 or to 8 bits, and what that does to kernels of 8 bits."""

import numpy as np
import onnx
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


def test_large_kernels_are_in_8_bits_and_other_weights_in_float16():
    """Convolutions one after another, a bias, and products with matrices: one is of one number."""
    rng = np.random.default_rng(0)
    constants = {name: rng.standard_normal(shape) / 10 for name, shape in SHAPES.items()}
    nodes = [
        helper.make_node(name.split("/")[0], [f"map{index}", name], [f"map{index + 1}"])
        for index, name in enumerate(constants)
    ]
    nodes[1].input.append("bias")
    nodes += [
        helper.make_node("GlobalAveragePool", [f"map{len(constants)}"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mean"], ["averaged"]),
        helper.make_node("MatMul", ["averaged", "dense"], ["result"]),
    ]
    constants |= {
        "bias": rng.standard_normal(300), "mean": np.full((50, 50), 1 / 6),
        "dense": rng.standard_normal((50, 8)),
    }  # fmt: skip
    model = make_model(nodes, {"map0": ["batch", 3, 9, 9]}, {"result": ["batch", 8]}, constants)
    stored = with_float16_weights(with_int8_kernels(model))
    onnx.checker.check_model(stored, full_check=True)
    types = {each.name: each.data_type for each in stored.graph.initializer}
    kept = ("Conv/in", "Conv/small", "ConvTranspose/up", "Conv/out", "dense")
    assert types == {
        **{f"{name}/float16": TensorProto.FLOAT16 for name in kept},
        **{f"{name}/int8": TensorProto.INT8 for name in ("Conv/wide", "Conv/large")},
        **dict.fromkeys(("Conv/wide/scale", "Conv/large/scale", "bias", "mean"), TensorProto.FLOAT),
    }


def test_a_network_without_kernels_of_its_own_stays_as_it_is():
    nodes = [helper.make_node("Relu", ["x"], ["k"]), helper.make_node("Conv", ["x", "k"], ["y"])]
    model = make_model(nodes, {"x": ["batch", 3, 9, 9]}, {"y": None})
    assert [node.op_type for node in with_int8_kernels(model).graph.node] == ["Relu", "Conv"]


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
