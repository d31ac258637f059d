"""ONNX with its large convolution kernels in 8 bits, a scale for each output channel.

ONNX Runtime turns them back when it opens the file and computes in float32. Three things keep
images near those of float32, measured in docs/results/exported_graphs.md:

- The small kernels stay float16. They lie where the image enters and leaves and in the shortcuts
  between: a quarter of the weights, and most of what rounding does to an image.
- So do the kernels of transposed convolutions, whose error every pixel of a block shares.
- Errors within a kernel cancel (`round_to_int8`): what a convolution sees is nearly the same at
  neighbouring pixels.

Rounding activations too (`quantize_dynamic`) takes one scale for a whole batch, so that an image
would depend on its batch.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .onnx_float16 import prepend, with_float16_weights
from .onnx_writer import save

if TYPE_CHECKING:
    import onnx

    from kdiffusion.export.source import ExportSource

# The part of all kernel weights that stays float16, the smallest kernels first.
FLOAT16_SHARE = 0.25
LARGEST = 127  # of int8 with zero in the middle


def write(source: ExportSource, path: Path) -> None:
    """Writes the ONNX graph with 8-bit convolution kernels."""
    model = with_float16_weights(with_int8_kernels(source.onnx_model))
    save(model, source.card, path)


def with_int8_kernels(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an ONNX model whose large convolution kernels are stored as int8."""
    from onnx import helper, numpy_helper

    rounded, restored, scales = type(model)(), [], []
    rounded.CopyFrom(model)
    large = _large_kernels(model.graph)
    for stored in [each for each in rounded.graph.initializer if each.name in large]:
        name = stored.name
        value, scale = round_to_int8(numpy_helper.to_array(stored))
        stored.CopyFrom(numpy_helper.from_array(value, f"{name}/int8"))
        scales.append(numpy_helper.from_array(scale, f"{name}/scale"))
        inputs = [stored.name, scales[-1].name]
        restored.append(helper.make_node("DequantizeLinear", inputs, [name], axis=0))
    rounded.graph.initializer.extend(scales)
    prepend(restored, rounded)
    return rounded


def _large_kernels(graph):
    """Names of the kernels of convolutions, but for the first, the last and the smallest."""
    size = {each.name: math.prod(each.dims) for each in graph.initializer}
    convolutions = [
        (node.op_type, node.input[1])
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1] in size
    ]
    if not convolutions:
        return set()
    kernels = [kernel for _, kernel in convolutions]
    budget = FLOAT16_SHARE * sum(size[kernel] for kernel in kernels)
    by_size = sorted(kernels, key=size.__getitem__)  # stable: the graph's order
    total = np.cumsum([size[kernel] for kernel in by_size])
    small = {kernel for kernel, upto in zip(by_size, total, strict=True) if upto <= budget}
    kept = small | {kernels[0], kernels[-1]}
    return {kernel for kind, kernel in convolutions if kind == "Conv"} - kept


def round_to_int8(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds kernels to 8 bits so that the errors of each nearly cancel (SQuant, Guo et al. 2022).

    Rounded to the nearest, the errors of a 3x3 kernel add up, and smooth input passes their sum on.
    The numbers that were nearest to the other side are rounded there instead, until less than half
    a step is left: first in each kernel, then over all kernels of an output channel.

    Args:
        kernels: float array `[out, in, height, width]`.

    Returns:
        (int8 array of that shape, float32 array `[out]`): kernels are their product.
    """
    out, channels = kernels.shape[:2]
    scales = (np.abs(kernels).reshape(out, -1).max(axis=1) / LARGEST).astype(np.float32)
    scales[scales == 0] = 1  # a kernel of zeros
    exact = kernels.reshape(out, -1) / scales[:, None].astype(np.float64)
    rounded = np.rint(exact)
    for rows in (out * channels, out):
        rounded = _cancel(exact.reshape(rows, -1), rounded.reshape(rows, -1))
    rounded = np.clip(rounded, -LARGEST, LARGEST).astype(np.int8)
    return rounded.reshape(kernels.shape), scales


def _cancel(exact, rounded):
    """Moves numbers of each row by one, so that the row's errors sum to half a step at most."""
    error = rounded - exact
    total = error.sum(axis=1, keepdims=True)
    order = np.argsort(-np.sign(total) * error, axis=1, kind="stable")
    moves = np.arange(error.shape[1]) < np.rint(np.abs(total))
    step = np.zeros_like(error)
    np.put_along_axis(step, order, moves * np.sign(total), axis=1)
    return rounded - step
