"""The whole sampler as one ONNX file: noise, labels and guidance strength in, images out.

The denoiser's graph is the body of an ONNX Loop; schedule, sampler and guidance are around it. ONNX
has no operation that refuses. What the loop refuses asks for a row that no table has, which is an
error on a processor, and the operation's name says what is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.artifacts.integrity import UNSEALED
from kdiffusion.artifacts.onnx_loader import CARD_KEY, SEAL_KEY
from kdiffusion.diffusion.conditions import SAMPLER_INPUTS, nulls
from kdiffusion.diffusion.transition import STATE

from ..onnx_writer import OPSET, introduce
from ..source import ExportSource
from .tables import SamplerTables

SAMPLER_KEY = "kdiffusion.sampler"
PREFIX = "denoiser_"  # of all names of the denoiser's own graph

# In ONNX's own text form. The denoiser's nodes go where the body says so.
_GRAPH = """
<ir_version: 8, opset_import: ["" : {opset}]>
sampler (float[batch, {shape}] noise, int32[batch] label, {more}float guidance_strength)
  => (float[batch, {shape}] image)
{{
  both_noise = Concat <axis = 0> (noise, noise)
  twice_batch = Shape <start = 0, end = 1> (both_noise)
  batch = Shape <start = 0, end = 1> (noise)
  negative = Less (label, zero)
  row = Where (negative, no_row, label)
  known_label = Gather (all_labels, row)
  null_labels = Expand (null_label, batch)
  {prefix}label = Concat <axis = 0> (known_label, null_labels)
{both}  high_enough = GreaterOrEqual (guidance_strength, lowest_strength)
  finite = LessOrEqual (guidance_strength, highest_strength)
  usable = And (high_enough, finite)
  strength_row = Where (usable, zero, no_row)
  strengths = Unsqueeze (guidance_strength, first_axis)
  w = Gather (strengths, strength_row)
  nothing = Sub (noise, noise)
  last_x, {last} = Loop (steps, , noise, {nothing}) <body = step (
      int64 i, bool go_on, float[batch, {shape}] x, {remembered}
    ) => (
      bool continues, float[batch, {shape}] x_next, float[batch, {shape}] x_corrected,
      float[batch, {shape}] x0, {kept}
    ) {{
    continues = Identity (go_on)
    {prefix}noisy_image = Concat <axis = 0> (x, x)
    t = Gather (timesteps, i)
    {prefix}timestep = Expand (t, twice_batch)
    conditional, unconditional = Split <axis = 0, num_outputs = 2> ({prefix}prediction)
    difference = Sub (conditional, unconditional)
    guides = Gather (guides_at, i)
    w_here = Mul (w, guides)
    push = Mul (w_here, difference)
    guided = Add (conditional, push)
    from_x = Gather (estimate_x, i)
    from_prediction = Gather (estimate_prediction, i)
    x0_of_x = Mul (from_x, x)
    x0_of_prediction = Mul (from_prediction, guided)
    x0_unclipped = Add (x0_of_x, x0_of_prediction)
    x0 = Clip (x0_unclipped, low, high)
{sums}{keeping}  }}>
  image = Clip (last_x, low, high)
}}
"""


def write(source: ExportSource, tables: SamplerTables, path: Path) -> None:
    """Writes a sampler of `tables` around the denoiser's ONNX graph.

    Args:
        source: ExportSource.
        tables: SamplerTables.
        path: Path. The file to make.
    """
    import onnx

    text = _GRAPH.format(
        opset=OPSET,
        **_memory(", ".join(map(str, source.card.image_shape))),
        **_more(source.card),
        prefix=PREFIX,
        sums=_weighted_sum("corrected", "x_corrected") + _weighted_sum("step", "x_next"),
    )
    model = onnx.parser.parse_model(text)
    names = {
        "known_label": f"label_must_be_from_0_to_{source.card.null_label}",
        "w": "guidance_strength_must_be_finite_and_at_least_minus_1",
    }
    for node in model.graph.node:
        node.name = names.get(node.output[0], "")
    denoiser = onnx.compose.add_prefix(source.onnx_model, PREFIX).graph
    model.graph.initializer.extend(denoiser.initializer)
    model.graph.initializer.extend(_constants(source.card, tables))
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    nodes = list(body.node)
    first_after = next(i for i, node in enumerate(nodes) if node.op_type == "Split")
    nodes[first_after:first_after] = denoiser.node
    del body.node[:]
    body.node.extend(nodes)
    properties = {
        CARD_KEY: source.card.to_json(),
        SAMPLER_KEY: json.dumps(tables.description),
        SEAL_KEY: UNSEALED,
    }
    introduce(model, source.card, "A sampler: makes images from noise, by its denoiser")
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def description(path: Path) -> dict[str, Any]:
    """The options of `export_sampler` that a file was made with."""
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return json.loads(metadata[SAMPLER_KEY])


def _memory(shape):
    """The steps before, as the loop passes them on."""
    remembered = STATE[2:]
    kept = remembered[:-2]  # the oldest step is forgotten
    return {
        "shape": shape,
        "last": ", ".join(f"unused_{name}" for name in remembered),
        "nothing": ", ".join(["nothing"] * len(remembered)),
        "remembered": ", ".join(f"float[batch, {shape}] {name}" for name in remembered),
        "kept": ", ".join(f"float[batch, {shape}] {name}_kept" for name in kept),
        "keeping": "".join(f"    {name}_kept = Identity ({name})\n" for name in kept),
    }


def _more(card):
    """The conditions beside the label: as inputs, and each beside as many of none."""
    inputs, both = "", ""
    for name, shape in card.condition_shapes.items():
        given = SAMPLER_INPUTS[name]
        inputs += f"float[batch, {', '.join(map(str, shape))}] {given}, "
        both += f"""  {name}_shape = Shape ({given})
  null_{name} = Expand (null_of_{name}, {name}_shape)
  {PREFIX}{name} = Concat <axis = 0> ({given}, null_{name})
"""
    return {"more": inputs, "both": both}


def _weighted_sum(table, result):
    """Lines of a graph's body: a row of a table times the state."""
    lines = [
        f"{table}_weight_{name} = Gather ({table}_of_{name}, i)\n"
        f"{table}_part_{name} = Mul ({table}_weight_{name}, {name})\n"
        for name in STATE
    ]
    parts = ", ".join(f"{table}_part_{name}" for name in STATE)
    return "".join(f"    {line}\n" for line in "".join(lines).splitlines()) + (
        f"    {result} = Sum ({parts})\n"
    )


def _constants(card, tables):
    from onnx import numpy_helper

    low, high = np.array(tables.limits, np.float32)
    arrays = {
        "steps": np.int64(len(tables.timesteps)),
        "timesteps": tables.timesteps,
        "guides_at": tables.guides,
        "null_label": np.int32(card.null_label),
        **{f"null_of_{n}": np.float32(nulls(0)[n]) for n in card.condition_shapes},
        "all_labels": np.arange(card.null_label + 1, dtype=np.int32),
        "zero": np.int32(0),
        "no_row": np.int32(np.iinfo(np.int32).max),
        "lowest_strength": np.float32(-1),
        "highest_strength": np.finfo(np.float32).max,
        "first_axis": np.array([0], np.int64),
        "low": low,
        "high": high,
    }
    arrays |= dict(zip(("estimate_x", "estimate_prediction"), tables.estimate.T, strict=True))
    for table in ("corrected", "step"):
        columns = getattr(tables, table).T
        arrays |= {
            f"{table}_of_{name}": column for name, column in zip(STATE, columns, strict=True)
        }
    return [
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()
    ]
