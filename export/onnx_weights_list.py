"""The list by which a run can start from an ONNX file: where in the graph each weight lies.

A weight is found by its numbers, in whatever order of axes the converter put it. What the graph
doesn't have as it was trained (merged attention, kernels of an upsampling) is written out, but for
8 bits, where weights of the same function are taken from the merged ones.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.artifacts.denoiser import ArtifactError
from kdiffusion.artifacts.merged_weights import MERGED
from kdiffusion.artifacts.network_description import describe
from kdiffusion.artifacts.onnx_weights import (
    ARGUMENTS,
    AXES,
    CLASS,
    CONSTANT,
    CONSTANTS,
    DTYPE,
    FORM,
    NUMBERS,
    SHAPE,
    listed_weights,
)

if TYPE_CHECKING:
    import keras
    import onnx

Entries = dict[str, dict[str, Any]]
# Of the name of a constant that is stored in 16 or in 8 bits.
FLOAT16_SUFFIX, INT8_SUFFIX = "/float16", "/int8"
# Of the largest number: how far constants are from those made of weights in 16 bits, at most.
MERGED_TOLERANCE = 1e-2


def weights_list(model: onnx.ModelProto, network: keras.Model) -> Entries:
    """The list of a network's weights in its graph, both in float32.

    Args:
        model: onnx.ModelProto.
        network: keras.Model that it was made of.

    Returns:
        dict from each weight's name to its entry.
    """
    from onnx import numpy_helper

    from kdiffusion.networks.weights import named_weights

    constants = {}
    for constant in model.graph.initializer:
        value = numpy_helper.to_array(constant)
        if value.dtype == np.float32:
            constants.setdefault(_key(value), []).append((constant.name, value.ravel()))
    return {
        name: _entry(np.asarray(variable, np.float32), constants)
        for name, variable in named_weights(network).items()
    }


def _entry(weight, constants):
    for name, value in constants.get(_key(weight), ()):
        for axes in itertools.permutations(range(weight.ndim)):
            if np.array_equal(weight.transpose(axes).ravel(), value):
                return {CONSTANT: name, AXES: axes, SHAPE: weight.shape}
    return {
        **_numbers(weight, np.float32),
        AXES: tuple(range(weight.ndim)),
        SHAPE: weight.shape,
    }


def _numbers(values, dtype):
    little = values.astype(np.dtype(dtype).newbyteorder("<"))
    return {NUMBERS: base64.b64encode(little.tobytes()).decode(), DTYPE: np.dtype(dtype).name}


def _key(value):
    """The same for the same numbers in any order."""
    return hashlib.sha256(np.sort(value, axis=None).tobytes()).digest()


def without_copies(entries: Entries, model: onnx.ModelProto) -> Entries:
    """A list that names merged constants in place of the weights that they were made of.

    Args:
        entries: as of `weights_list`.
        model: onnx.ModelProto, in float32.

    Returns:
        dict as `entries`, with an entry of each merged layer that was found.
    """
    from onnx import numpy_helper

    weights = listed_weights(entries, model)
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    shorter = dict(entries)
    copied = [name for name, entry in entries.items() if NUMBERS in entry]
    for form, row in MERGED.items():
        ending = f"/{row.weights[0]}"
        for layer in [name.removesuffix(ending) for name in copied if name.endswith(ending)]:
            members = {part: f"{layer}/{part}" for part in row.weights}
            if not weights.keys() >= set(members.values()):
                continue
            try:
                merged = row.merge({part: weights[name] for part, name in members.items()})
            except ValueError:  # shapes of another layer, whose weights have these names
                continue
            found = {part: _nearest(merged[part], constants) for part in row.constants}
            if None not in found.values():
                for name in members.values():
                    del shorter[name]
                shorter[layer] = {FORM: form, CONSTANTS: found}
    return shorter


def _nearest(value, constants):
    """Name of the constant that a merged one is, None if it is none of them."""
    differences = {
        name: float(np.abs(constant - value).max())
        for name, constant in constants.items()
        if constant.shape == value.shape and constant.dtype == np.float32
    }
    nearest = min(differences, key=differences.__getitem__, default=None)
    if nearest is None or differences[nearest] > MERGED_TOLERANCE * np.abs(value).max():
        return None
    return nearest


def located(entries: Entries, model: onnx.ModelProto, rounded: bool = False) -> Entries:
    """A list for a graph that stores the same constants in other precisions.

    Args:
        entries: as of `weights_list`.
        model: onnx.ModelProto.
        rounded: bool. Store copies of two dimensions or more as float16. Defaults to `False`.

    Returns:
        dict as `entries`.

    Raises:
        ArtifactError: a constant that the graph doesn't have.
    """
    names = {constant.name for constant in model.graph.initializer}
    return {name: _located(entry, names, rounded) for name, entry in entries.items()}


def _located(entry, names, rounded):
    if FORM in entry:
        return {**entry, CONSTANTS: {p: _name(n, names) for p, n in entry[CONSTANTS].items()}}
    if CONSTANT in entry:
        return {**entry, CONSTANT: _name(entry[CONSTANT], names)}
    if not rounded or len(entry[SHAPE]) < 2 or entry[DTYPE] == "float16":
        return entry
    exact = np.frombuffer(base64.b64decode(entry[NUMBERS]), "<f4")
    return {**entry, **_numbers(exact, np.float16)}


def _name(listed: str, names: Iterable[str]) -> str:
    """What a constant is called in a graph of any precision."""
    plain = listed.removesuffix(FLOAT16_SUFFIX)
    for name in (plain, plain + FLOAT16_SUFFIX, plain + INT8_SUFFIX):
        if name in names:
            return name
    raise ArtifactError(f"The list of weights names {plain}, which the graph doesn't have")


def weights_text(entries: Entries) -> str:
    """JSON of a list: what `kdiffusion.artifacts.onnx_weights` reads."""
    return json.dumps(entries, separators=(",", ":"))


def network_text(network: keras.Model) -> str | None:
    """JSON of a network's class and arguments; None for a class of someone's own."""
    try:
        network_class, arguments = describe(network)
    except ValueError:
        return None
    return json.dumps({CLASS: network_class, ARGUMENTS: arguments}, separators=(",", ":"))
