"""ONNX with its weights stored as float16: half the file, for download; it computes in float32.

ONNX Runtime turns the weights back when it opens the file, so speed and memory are as before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.artifacts.onnx_loader import load as load

from .onnx_writer import save

if TYPE_CHECKING:
    import onnx

    from kdiffusion.export.export_source import ExportSource

ARTIFACT = "denoiser_float16.onnx"
PARTS = ()  # one file
MARK = None
# Any predicted number from the live network's: what rounding every weight to 11 bits does.
TOLERANCE = 1e-2
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
    import onnx_ir as ir

    rewritten = ir.from_proto(model)
    graph: Any = rewritten.graph
    for weight in [value for value in graph.initializers.values() if _is_weight(value)]:
        rounded = ir.tensor(weight.const_value.numpy().astype(np.float16))
        stored = ir.Value(name=f"{weight.name}/float16", const_value=rounded)
        graph.register_initializer(stored)
        restore = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT})
        graph.insert_before(graph[0], restore)
        weight.replace_all_uses_with(restore.outputs[0])
        del graph.initializers[weight.name]
    return ir.to_proto(rewritten)


def _is_weight(value):
    if value.dtype.name != "FLOAT" or len(value.shape) < 2:
        return False
    uses = value.uses()
    as_weight = all(WEIGHT_INPUTS.get(use.node.op_type) == use.idx for use in uses)
    # A norm's constant matrices, of zeros and one other number, must not be rounded: from a mean
    # of squares a squared mean is subtracted.
    return bool(uses) and as_weight and len(np.unique(value.const_value.numpy())) > 2
