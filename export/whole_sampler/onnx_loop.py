"""The whole sampler as one ONNX file: noise, labels and guidance strength in, images out.

The denoiser's graph is the body of an ONNX Loop; schedule, sampler and guidance are around it. ONNX
has no operation that refuses. What the loop refuses asks for a row that no table has, which is an
error on a processor, and the operation's name says what is wrong.
"""

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
  noise_shape = Shape (noise)
  memory_shape = Concat <axis = 0> (memory_size, noise_shape)
  nothing = ConstantOfShape (memory_shape)
  last_x, last_memory = Loop (steps, , noise, nothing) <body = step (
      int64 i, bool go_on, float[batch, {shape}] x, float[memory, batch, {shape}] memory
    ) => (
      bool continues, float[batch, {shape}] x_next, float[memory, batch, {shape}] memory_next
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
    x_row = Unsqueeze (x, first_axis)
    guided_row = Unsqueeze (guided, first_axis)
    seen = Concat <axis = 0> (x_row, guided_row)
    weights_of_seen = Gather (estimate, i)
    parts_of_x0 = Mul (weights_of_seen, seen)
    unclipped_row = ReduceSum (parts_of_x0, first_axis)
    x0_row = Clip (unclipped_row, low, high)
    state = Concat <axis = 0> (x_row, x0_row, memory)
    weights_at_t = Gather (corrected, i)
    parts_at_t = Mul (weights_at_t, state)
    corrected_row = ReduceSum (parts_at_t, first_axis)
    weights_at_s = Gather (step, i)
    parts_at_s = Mul (weights_at_s, state)
    x_next = ReduceSum <keepdims = 0> (parts_at_s, first_axis)
    newest = Slice (memory, first_axis, newest_size)
    memory_next = Concat <axis = 0> (corrected_row, x0_row, newest)
  }}>
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
        shape=", ".join(map(str, source.card.image_shape)),
        **_more(source.card),
        prefix=PREFIX,
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
    first_after = next(i for i, node in enumerate(body.node) if node.op_type == "Split")
    for node in reversed(denoiser.node):
        body.node.insert(first_after, node)
    properties = {
        CARD_KEY: source.card.to_json(),
        SAMPLER_KEY: json.dumps(tables.description),
        SEAL_KEY: UNSEALED,
    }
    introduce(model, "A sampler: makes images from noise, by its denoiser")
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def description(path: Path) -> dict[str, Any]:
    """The options of `export_sampler` that a file was made with."""
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return json.loads(metadata[SAMPLER_KEY])


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
        "memory_size": np.array([len(STATE) - 2], np.int64),
        "newest_size": np.array([len(STATE) - 4], np.int64),
        "low": low,
        "high": high,
    }
    for name in ("estimate", "corrected", "step"):
        arrays[name] = getattr(tables, name)[..., None, None, None, None]  # times [n, B, H, W, C]
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
