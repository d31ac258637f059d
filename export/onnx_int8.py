"""ONNX with 8-bit convolution weights, a scale a channel: a third of the file, for download.

Only weights are rounded; it computes in float32. ONNX Runtime's `quantize_dynamic` also rounds
activations, with one scale for a whole batch, so that a picture would depend on those it is drawn
with: on a network trained on the digits by up to 11 of 255 levels. For the same reason matrices
are stored as float16: ONNX Runtime would turn one that comes out of DequantizeLinear into a product
with rounded activations.
"""

import numpy as np

from .onnx import load as load
from .onnx import recognises as recognises
from .onnx_float16 import as_float16, with_stored_weights

ARTEFACT = "denoiser_int8.onnx"
PARTS = ()  # one file
# Any predicted number from the live network's: what rounding the kernels to 8 bits does.
TOLERANCE = 2e-1


def write(source, path):
    """Writes the ONNX graph with 8-bit convolution kernels.

    Args:
        source: ExportSource.
        path: Path. The file to make.
    """
    import onnx

    onnx.save(with_stored_weights(source.onnx_model, _as_int8), path)


def _as_int8(weight, operation):
    """A kernel `[out, in, h, w]` as int8 with a float32 scale for each `out`."""
    from onnx import helper, numpy_helper

    if operation != "Conv":
        return as_float16(weight, operation)
    kernel = numpy_helper.to_array(weight)
    scale = np.maximum(np.abs(kernel).max(axis=(1, 2, 3)) / 127.0, np.finfo(np.float32).tiny)
    rounded = np.rint(kernel / scale[:, None, None, None]).astype(np.int8)
    names = [f"{weight.name}/int8", f"{weight.name}/scale"]
    stored = [numpy_helper.from_array(a, n) for a, n in zip((rounded, scale), names, strict=True)]
    return stored, helper.make_node("DequantizeLinear", names, [weight.name], axis=0)
