"""ONNX, for ONNX Runtime on any machine or in a browser: one file, the card in its metadata."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion import __version__
from kdiffusion.artifacts.integrity import SELF_CHECK_KEY, UNSEALED, example_inputs, golden_text
from kdiffusion.artifacts.onnx_loader import CARD_KEY, SEAL_KEY, open_session
from kdiffusion.diffusion.denoiser import OUTPUT_NAME

if TYPE_CHECKING:
    import onnx

    from kdiffusion.diffusion.card import DenoiserCard
    from kdiffusion.export.source import ExportSource

# The newest that tf2onnx writes; ONNX Runtime reads it since 1.14 (2023), in the browser too.
OPSET = 18


def write(source: ExportSource, path: Path) -> None:
    """Writes the ONNX graph of a network with its card."""
    save(source.onnx_model, source.card, path)


def save(model: onnx.ModelProto, card: DenoiserCard, path: Path) -> None:
    """Writes an ONNX graph with its golden predictions, those of this very graph.

    Args:
        model: onnx.ModelProto. It is not changed.
        card: DenoiserCard.
        path: Path. The file to make.
    """
    import onnx

    graph = model.SerializeToString()
    # One thread: the same sums in the same order.
    session = open_session(graph, threads=1)
    golden = golden_text(session.run([OUTPUT_NAME], example_inputs(card))[0], card)
    entry = onnx.StringStringEntryProto(key=SELF_CHECK_KEY, value=golden)
    # Protocol buffers one after another are one, with the lists of both.
    path.write_bytes(graph + onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def convert(predict: Any, card: DenoiserCard) -> onnx.ModelProto:
    """Converts a float32 network by tf2onnx.

    Args:
        predict: the network's `prediction_function`.
        card: DenoiserCard.

    Returns:
        onnx.ModelProto, with the card.
    """
    import onnx

    model = to_onnx(predict)
    introduce(model, "A denoiser: predicts from a noisy image")
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json(), SEAL_KEY: UNSEALED})
    onnx.checker.check_model(model, full_check=True)
    return model


def to_onnx(function: Any) -> onnx.ModelProto:
    """Converts a function of tensors `[B, ...]` by tf2onnx; all share one size, `batch`.

    Args:
        function: `tf.function` with an input signature; it returns a dict of tensors `[B, ...]`.
    """
    import tf2onnx

    # Otherwise it copies the whole graph, weights included, before each of its optimisers, in case
    # one fails: half of the time of an export. Here a failure fails the export.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
    model, _ = tf2onnx.convert.from_function(
        function, function.input_signature, opset=OPSET, custom_op_handlers=HANDLERS
    )
    # One name for one size: the converter gives each input an unknown dimension of its own.
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def introduce(model: onnx.ModelProto, what: str) -> None:
    """Says in a model who wrote it and what it is; only the operations that it uses are imported.

    Args:
        model: onnx.ModelProto, which is changed.
        what: str. What the graph is.
    """
    model.producer_name, model.producer_version = "kdiffusion", __version__
    model.doc_string, model.graph.name = what, "kdiffusion"
    used = {node.domain for node in model.graph.node}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


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
