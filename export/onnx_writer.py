"""ONNX, for ONNX Runtime on any machine or in a browser: one file, the card in its metadata."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.artifacts.denoiser import ArtifactError, check_names
from kdiffusion.artifacts.onnx_loader import ARTIFACT, CARD_KEY, SEAL_KEY, load
from kdiffusion.artifacts.onnx_weights import NETWORK_KEY, WEIGHTS_KEY
from kdiffusion.artifacts.seal import UNSEALED
from kdiffusion.artifacts.self_check import SELF_CHECK_KEY, example_inputs, golden_text
from kdiffusion.diffusion.denoiser import INPUT_NAMES, OUTPUT_NAME
from kdiffusion.onnx_session import open_session

from .inference import serving_function
from .onnx_weights_list import network_text, weights_text

if TYPE_CHECKING:
    import keras
    import onnx

    from kdiffusion.diffusion.card import DenoiserCard
    from kdiffusion.export.export_source import ExportSource

__all__ = ["ARTIFACT", "MARK", "OPSET", "PARTS", "TOLERANCE", "convert", "load", "save", "write"]

PARTS = ()  # one file
MARK = None
TOLERANCE = 1e-4  # from the live network, any predicted number
# The newest that tf2onnx writes; ONNX Runtime reads it since 1.14 (2023), in the browser too.
OPSET = 18


def write(source: ExportSource, path: Path) -> None:
    """Writes the ONNX graph of a network with its card.

    Args:
        source: ExportSource.
        path: Path. The file to make.

    Raises:
        ArtifactError: as `convert`.
    """
    weights = weights_text(source.onnx_weights)
    save(source.onnx_model, source.card, path, weights, network_text(source.network))


def save(
    model: onnx.ModelProto,
    card: DenoiserCard,
    path: Path,
    weights: str | None = None,
    network: str | None = None,
) -> None:
    """Writes an ONNX graph with its golden predictions, those of this very graph.

    Args:
        model: onnx.ModelProto. It is not changed.
        card: DenoiserCard.
        path: Path. The file to make.
        weights: str of `weights_text`, by which a run can start from the file; None for none.
        network: str of `network_text`, what network the weights are of; None if not known.
    """
    import onnx

    graph = model.SerializeToString()
    # One thread: the same sums in the same order, the same file every time.
    session = open_session(graph, ArtifactError, threads=1)
    golden = golden_text(session.run([OUTPUT_NAME], example_inputs(card))[0])
    facts = {SELF_CHECK_KEY: golden}
    if weights is not None:
        facts[WEIGHTS_KEY] = weights
    if network is not None:
        facts[NETWORK_KEY] = network
    entries = [onnx.StringStringEntryProto(key=key, value=text) for key, text in facts.items()]
    # Protocol buffers one after another are one, with the lists of both.
    path.write_bytes(graph + onnx.ModelProto(metadata_props=entries).SerializeToString())


def convert(network: keras.Model, card: DenoiserCard) -> onnx.ModelProto:
    """Converts a float32 network by tf2onnx.

    Args:
        network: keras.Model on a dictionary of the contract's inputs.
        card: DenoiserCard.

    Returns:
        onnx.ModelProto, with the card.

    Raises:
        ArtifactError: the conversion left inputs or outputs that are not the contract's, or a graph
            that `onnx.checker` refuses.
    """
    import onnx
    import tf2onnx

    from .onnx_graph import simplify

    # Otherwise it copies the whole graph, weights included, before each of its optimisers, in case
    # one fails: half of the time of an export. Here a failure fails the export.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
    serve, signature = serving_function(network, card.image_shape)
    model, _ = tf2onnx.convert.from_function(
        serve, signature, opset=OPSET, custom_op_handlers=HANDLERS
    )
    _name_batch(model.graph)
    model = simplify(model)
    check_names("inputs", [value.name for value in model.graph.input], INPUT_NAMES, ARTIFACT)
    check_names("outputs", [value.name for value in model.graph.output], [OUTPUT_NAME], ARTIFACT)
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json(), SEAL_KEY: UNSEALED})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ArtifactError(f"{ARTIFACT} is not a valid ONNX graph: {error}") from error
    return model


def _erfc(graph, node, name, arguments):
    """Erfc = 1 - Erf: exact GELU in TensorFlow."""
    erf = graph.make_node("Erf", node.input)
    one = graph.make_const(f"{name}/one", np.float32(1))
    dtypes, shapes = node.output_dtypes, node.output_shapes
    graph.remove_node(name)
    graph.make_node(
        "Sub", [one.output[0], erf.output[0]], outputs=node.output, name=name,
        dtypes=dtypes, shapes=shapes,
    )  # fmt: skip


# TensorFlow's operations that tf2onnx doesn't know.
HANDLERS = {"Erfc": (_erfc, [])}


def _name_batch(graph):
    # One name for one size: the converter gives each input an unknown dimension of its own.
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
