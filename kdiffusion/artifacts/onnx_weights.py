"""The weights by name in an ONNX file: to go on training from the file that one draws from.

A graph for inference has few weights as they were trained: kernels lie in another order of their
axes, and some were merged. The exporter leaves a list of where each weight is, and beside it those
that the graph has no longer. In 8 bits it leaves no copies: weights of the same function come out
of the merged ones.
"""

from __future__ import annotations

import base64
import functools
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .denoiser import ArtifactError, card_from_text, import_runtime
from .merged_weights import MERGED
from .onnx_loader import CARD_KEY
from .seal import check_seal
from .stored_weights import StoredWeights, stored_weights

if TYPE_CHECKING:
    import onnx

WEIGHTS_KEY = "kdiffusion.weights"
# JSON: the class of the network and its arguments, if it is one of `NETWORK_CLASSES`. The first
# files lack it.
NETWORK_KEY = "kdiffusion.network"
CLASS, ARGUMENTS = "class", "arguments"
# Of an entry: the constant of the graph, or the numbers themselves; the order of the axes in it.
CONSTANT, NUMBERS, AXES, SHAPE, DTYPE = "constant", "numbers", "axes", "shape", "dtype"
# Of a layer's entry: the row of `MERGED`, and the constants of the graph by their names in it.
FORM, CONSTANTS = "form", "constants"
# Numbers made of merged constants, for each that the graph has: at most 2 of ours, unless layers
# share a constant, such as the zeros from before training.
MOST_SEPARATED = 4


def read(path: str | os.PathLike) -> StoredWeights | None:
    """Reads the weights of an ONNX file; neither Keras nor TensorFlow is needed.

    Args:
        path: path of the file.

    Returns:
        StoredWeights, or None for a file without the list, as the first in 8 bits were.

    Raises:
        ArtifactError: a file that is damaged or has no usable card.
    """
    path = Path(path)
    onnx = import_runtime("onnx", path, "onnx")
    check_seal(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # those of protocol buffers and of the system
        raise ArtifactError(f"{path} cannot be read as a whole ONNX file: {error}") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if WEIGHTS_KEY not in metadata:
        return None
    try:
        entries = json.loads(metadata[WEIGHTS_KEY])
        weights = listed_weights(entries, model)
    except Exception as error:  # whatever a damaged list makes of json, base64, onnx and NumPy
        raise ArtifactError(
            f"{path} carries a list of weights that cannot be read: {type(error).__name__}: {error}"
        ) from error
    card = card_from_text(metadata.get(CARD_KEY), path)
    if NETWORK_KEY not in metadata:
        return StoredWeights(card, weights)
    try:
        network = json.loads(metadata[NETWORK_KEY])
        described = network[CLASS], network[ARGUMENTS]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ArtifactError(
            f"{path} does not say what network it is of: {type(error).__name__}: {error}"
        ) from error
    return stored_weights(path, card, weights, *described)


def listed_weights(entries: dict[str, dict], model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The weights that a list finds in a graph.

    Args:
        entries: dict from a weight's name, or a merged layer's, to its entry.
        model: onnx.ModelProto.

    Returns:
        dict from a weight's name to a float32 array. One constant is one array, however many
        weights are views of it.

    Raises:
        Exception: whatever a damaged list makes of NumPy and the graph.
    """
    constant = _constants_of(model)

    left = MOST_SEPARATED * sum(math.prod(stored.dims) for stored in model.graph.initializer)

    @functools.cache
    def separated(form, names):
        nonlocal left
        row = MERGED[form]
        constants = dict(zip(row.constants, map(constant, names), strict=True))
        left -= 2 * sum(value.size for value in constants.values())
        if left < 0:
            raise ValueError("it names merged constants more often than a network has them")
        return {name: value.astype(np.float32) for name, value in row.separate(constants).items()}

    weights = {}
    for name, entry in entries.items():
        if FORM in entry:
            names = tuple(entry[CONSTANTS][part] for part in MERGED[entry[FORM]].constants)
            parts = separated(entry[FORM], names)
            weights |= {f"{name}/{part}": value for part, value in parts.items()}
        else:
            weights[name] = _weight(entry, constant)
    return weights


def _constants_of(model):
    """Function from a constant's name to its float32 array, in 8 bits times its scales."""
    from onnx import TensorProto, numpy_helper

    stored = {constant.name: constant for constant in model.graph.initializer}
    scales = {
        node.input[0]: node.input[1]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
    }

    def array(name):
        if stored[name].data_location == TensorProto.EXTERNAL:  # it would be read, of any file
            raise ValueError(f"{name} lies in another file")
        return numpy_helper.to_array(stored[name])

    @functools.cache
    def constant(name):
        value = array(name)
        if value.dtype == np.int8:
            scale = _float32(array(scales[name]))
            if scale.shape != value.shape[:1]:  # of the first axis
                raise ValueError(f"{scale.shape} are no scales of {name}, {value.shape}")
            return value * scale.reshape(-1, *[1] * (value.ndim - 1))
        return _float32(value)

    return constant


def _weight(entry, constant):
    """float32 array of one weight's entry; `constant` gives a constant of the graph by name."""
    shape, axes = tuple(entry[SHAPE]), tuple(entry[AXES])
    if CONSTANT in entry:
        stored = constant(entry[CONSTANT])
    else:
        numbers = base64.b64decode(entry[NUMBERS], validate=True)
        dtype = {"float16": "<f2", "float32": "<f4"}[entry[DTYPE]]
        stored = _float32(np.frombuffer(numbers, dtype))
    if stored.size != math.prod(shape):
        raise ValueError(f"{stored.shape} is no weight of shape {shape}")
    return stored.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))


def _float32(stored):
    if stored.dtype not in (np.float16, np.float32):
        raise ValueError(f"{stored.dtype} is no weight")
    return stored.astype(np.float32, copy=False)
