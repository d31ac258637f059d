"""ONNX with its weights stored as float16: half the file, for download; it computes in float32.

ONNX Runtime turns the weights back when it opens the file, so speed and memory are as before.
"""

import numpy as np

from .onnx import load as load
from .onnx import recognises as recognises

ARTEFACT = "denoiser_float16.onnx"
PARTS = ()  # one file
# Any predicted number from the live network's: what rounding every weight to 11 bits does.
TOLERANCE = 1e-2
SMALLEST = 256  # numbers; rounding a bias or a norm saves nothing


def write(source, path):
    """Writes the ONNX graph with float16 weights.

    Args:
        source: ExportSource.
        path: Path. The file to make.
    """
    import onnx

    onnx.save(with_stored_weights(source.onnx_model, as_float16), path)


def with_stored_weights(model, store):
    """A copy of an ONNX model with its large weights stored in another way.

    Args:
        model: onnx.ModelProto.
        store: callable on (onnx.TensorProto, the type of the operation that it feeds) that returns
            what is stored, onnx.TensorProtos, and the onnx.NodeProto that restores the float32.

    Returns:
        onnx.ModelProto.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    used_by = {name: node.op_type for node in copy.graph.node for name in node.input}
    weights, nodes = [], []
    for weight in copy.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and np.prod(weight.dims) >= SMALLEST:
            stored, node = store(weight, used_by.get(weight.name))
            weights.extend(stored)
            nodes.append(node)
        else:
            weights.append(weight)
    nodes.extend(copy.graph.node)
    for field, values in ((copy.graph.initializer, weights), (copy.graph.node, nodes)):
        values = list(values)
        del field[:]
        field.extend(values)
    return copy


def as_float16(weight, operation):
    """The weight as float16, and the Cast that restores it."""
    from onnx import TensorProto, helper, numpy_helper

    name = f"{weight.name}/float16"
    stored = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), name)
    return [stored], helper.make_node("Cast", [name], [weight.name], to=TensorProto.FLOAT)
