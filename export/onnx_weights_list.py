"""The list by which a run can start from an ONNX file: where in the graph each weight lies.

A weight is found by its numbers, in whatever order of axes the converter put it. What the graph
doesn't have as it was trained (merged attention, kernels of an upsampling) is written out.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.artifacts.network_description import describe
from kdiffusion.artifacts.onnx_weights import (
    ARGUMENTS,
    AXES,
    CLASS,
    CONSTANT,
    DTYPE,
    NUMBERS,
    SHAPE,
)

if TYPE_CHECKING:
    import keras
    import onnx


def weights_text(model: onnx.ModelProto, network: keras.Model, dtype: Any) -> str:
    """The list of a network's weights in a graph.

    Args:
        model: onnx.ModelProto, the graph as it is written.
        network: keras.Model that it was made of, in float32.
        dtype: NumPy dtype of what has two dimensions or more, if the graph doesn't have it.

    Returns:
        str, JSON: what `kdiffusion.artifacts.onnx_weights` reads.
    """
    from onnx import numpy_helper

    from kdiffusion.networks.weights import named_weights

    constants = {}
    for constant in model.graph.initializer:
        value = numpy_helper.to_array(constant)
        if value.dtype in (np.float16, np.float32):
            constants.setdefault(_key(value), []).append((constant.name, value.ravel()))
    entries = {
        name: _entry(np.asarray(variable, np.float32), constants, dtype)
        for name, variable in named_weights(network).items()
    }
    return json.dumps(entries, separators=(",", ":"))


def network_text(network: keras.Model) -> str | None:
    """JSON of a network's class and arguments; None for a class of someone's own."""
    try:
        network_class, arguments = describe(network)
    except ValueError:
        return None
    return json.dumps({CLASS: network_class, ARGUMENTS: arguments}, separators=(",", ":"))


def _entry(weight, constants, dtype):
    for stored in (weight, weight.astype(np.float16)):
        for name, value in constants.get(_key(stored), ()):
            for axes in itertools.permutations(range(weight.ndim)):
                if np.array_equal(stored.transpose(axes).ravel(), value):
                    return {CONSTANT: name, AXES: axes, SHAPE: weight.shape}
    numbers = weight.astype(dtype if weight.ndim > 1 else np.float32)
    little = numbers.astype(numbers.dtype.newbyteorder("<"))
    return {
        NUMBERS: base64.b64encode(little.tobytes()).decode(),
        DTYPE: numbers.dtype.name,
        AXES: tuple(range(weight.ndim)),
        SHAPE: weight.shape,
    }


def _key(value):
    """The same for the same numbers in any order."""
    return value.dtype.name, hashlib.sha256(np.sort(value, axis=None).tobytes()).digest()
