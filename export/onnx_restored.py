"""ONNX stored in other precisions, made of an exported ONNX file alone: without its network.

Of a file in float32 or float16 come all three. What 8 bits have lost cannot be had back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.artifacts import onnx_loader, onnx_weights
from kdiffusion.artifacts.denoiser import import_runtime
from kdiffusion.artifacts.onnx_loader import CARD_KEY, SEAL_KEY
from kdiffusion.artifacts.onnx_weights import NETWORK_KEY, WEIGHTS_KEY
from kdiffusion.artifacts.seal import UNSEALED, seal
from kdiffusion.files import refuse_existing, staged
from kdiffusion.tensorflow_start import import_tensorflow

from . import onnx_float16, onnx_int8, onnx_writer
from .onnx_weights_list import FLOAT16_SUFFIX, located, weights_text, without_copies
from .verify import check_deviation

if TYPE_CHECKING:
    import onnx

    from kdiffusion.artifacts.denoiser import LoadedDenoiser

FORMATS = {"onnx": onnx_writer, "onnx_float16": onnx_float16, "onnx_int8": onnx_int8}


def restore(
    path: str | os.PathLike, folder: str | os.PathLike, formats: Sequence[str] = tuple(FORMATS)
) -> dict[str, Path]:
    """Writes an exported ONNX file in other formats of ONNX; in its own, a copy of it.

    float32 of a float16 file holds the same rounded numbers.

    Args:
        path: path of the file.
        folder: path to write into; made if need be.
        formats: keys of `FORMATS`. Defaults to all.

    Returns:
        dict from each format's name to the Path written; of a file in 8 bits, that one alone.

    Raises:
        ArtifactError: a file that is damaged, with its list of weights, or has no usable card.
        FileExistsError: a file is there already.
    """
    path, folder = Path(path), Path(folder)
    import_tensorflow()  # its notices
    denoiser = onnx_loader.load(path)
    onnx_weights.read(path)  # a damaged list is refused before it is copied
    library = import_runtime("onnx", path, "onnx")
    model = library.load(path, load_external_data=False)
    own = _format_of(model)
    possible = (own,) if own == "onnx_int8" else formats
    paths = {name: folder / FORMATS[name].ARTIFACT for name in formats if name in possible}
    for target in paths.values():
        refuse_existing(target)
    weights, network = _take_metadata(model, library)
    plain = _without_float16(model)
    for name, target in paths.items():
        with staged(target) as temporary:
            if name == own:
                shutil.copyfile(path, temporary)
                continue
            _write(name, plain, weights, network, denoiser, temporary)
            seal(temporary, ())
            check_deviation(
                _as_network(denoiser), onnx_loader.load(temporary), FORMATS[name].TOLERANCE
            )
    return paths


def _format_of(model):
    from onnx import TensorProto

    types = {constant.data_type for constant in model.graph.initializer}
    if TensorProto.INT8 in types:
        return "onnx_int8"
    return "onnx_float16" if TensorProto.FLOAT16 in types else "onnx"


def _take_metadata(model, library):
    """Leaves the card and a place for the seal; returns what is said of weights and network."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    library.helper.set_model_props(model, {CARD_KEY: metadata[CARD_KEY], SEAL_KEY: UNSEALED})
    text = metadata.get(WEIGHTS_KEY)
    return None if text is None else json.loads(text), metadata.get(NETWORK_KEY)


def _write(name, plain, weights, network, denoiser: LoadedDenoiser, path):
    model = plain
    if name == "onnx_int8":
        model = onnx_int8.with_int8_kernels(model)
    if name != "onnx":
        model = onnx_float16.with_float16_weights(model)
    text = None
    if weights is not None:
        entries = located(weights, plain)
        if name == "onnx_int8":
            entries = without_copies(entries, plain)
        text = weights_text(located(entries, model, rounded=name != "onnx"))
    onnx_writer.save(model, denoiser.card, path, text, network)


def _without_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The inverse of `with_float16_weights`, but for what was rounded."""
    import onnx_ir as ir

    rewritten = ir.from_proto(model)
    graph: Any = rewritten.graph
    for stored in [v for v in graph.initializers.values() if v.name.endswith(FLOAT16_SUFFIX)]:
        name = stored.name.removesuffix(FLOAT16_SUFFIX)
        exact = ir.tensor(stored.const_value.numpy().astype(np.float32))
        weight = ir.Value(name=name, const_value=exact)
        graph.register_initializer(weight)
        for cast in [use.node for use in stored.uses()]:
            cast.outputs[0].replace_all_uses_with(weight)
            graph.remove(cast, safe=True)
        del graph.initializers[stored.name]
    return ir.to_proto(rewritten)


def _as_network(denoiser):
    """A denoiser as `check_deviation` calls a network."""

    def network(inputs, training):
        return denoiser(inputs["noisy_image"], inputs["timestep"], inputs["label"])

    return network
