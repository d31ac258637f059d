"""ONNX with its weights stored as float16: half the file, for download; it computes in float32.

ONNX Runtime turns the weights back when it opens the file, so speed and memory are as before.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .onnx_writer import save

if TYPE_CHECKING:
    import onnx

    from kdiffusion.export.source import ExportSource

# Which input of an operation is its weights.
WEIGHT_INPUTS = {"Conv": 1, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1, "Gather": 0}


def write(source: ExportSource, path: Path) -> None:
    """Writes the ONNX graph with float16 weights."""
    save(with_float16_weights(source.onnx_model), source.card, path)


def with_float16_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an ONNX model whose large float32 weights are stored as float16.

    The converters of onnxconverter-common and ONNX Runtime round what flows between the operations
    as well.
    """
    from onnx import TensorProto, helper, numpy_helper

    rounded, restored = type(model)(), []
    rounded.CopyFrom(model)
    uses = collections.defaultdict(list)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            uses[name].append(WEIGHT_INPUTS.get(node.op_type) == place)
    for stored in rounded.graph.initializer:
        value, name = numpy_helper.to_array(stored), stored.name
        if all(uses[name] or [False]) and _is_weight(value):
            stored.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}/float16"))
            restored.append(helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT))
    prepend(restored, rounded)
    return rounded


def _is_weight(value):
    # A norm's constant matrices, of zeros and one other number, must not be rounded: from a mean
    # of squares a squared mean is subtracted.
    return value.dtype == np.float32 and value.ndim >= 2 and len(np.unique(value)) > 2


def prepend(nodes: Sequence[onnx.NodeProto], model: onnx.ModelProto) -> None:
    """Puts nodes before all others of a graph."""
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
