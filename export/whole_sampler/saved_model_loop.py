"""The whole sampler as one SavedModel: noise, labels and guidance strength in, images out.

The denoiser is the body of a `tf.while_loop`; schedule, sampler and guidance are around it.
"""

import json
from pathlib import Path
from typing import Any

from kdiffusion.artifacts.saved_model_loader import CARD_PATH
from kdiffusion.diffusion.conditions import SAMPLER_INPUTS
from kdiffusion.diffusion.transition import STATE

from ..saved_model_writer import write_signature
from ..source import ExportSource
from .tables import SamplerTables

SAMPLER_PATH = CARD_PATH.with_name("sampler.json")


def write(source: ExportSource, tables: SamplerTables, path: Path) -> None:
    """Writes a sampler of `tables` around the network, with one signature, `serving_default`.

    Args:
        source: ExportSource.
        tables: SamplerTables.
        path: Path. The folder to make.
    """
    serve = _sampling_function(source.network, source.card, tables)
    write_signature(source, serve, path)
    (path / SAMPLER_PATH).write_text(json.dumps(tables.description), encoding="utf-8")


def description(path: Path) -> dict[str, Any]:
    """The options of `export_sampler` that a folder was made with."""
    return json.loads((path / SAMPLER_PATH).read_text(encoding="utf-8"))


def _checked(label, guidance_strength, null_label):
    """Both; what the loop refuses asks for a row that isn't there: an error, on a processor."""
    import tensorflow as tf

    label = tf.gather(tf.range(null_label + 1), label, name=f"label_must_be_from_0_to_{null_label}")
    usable = tf.logical_and(guidance_strength >= -1, guidance_strength <= tf.float32.max)
    name = "guidance_strength_must_be_finite_and_at_least_minus_1"
    return label, tf.gather(guidance_strength[None], tf.where(usable, 0, 1), name=name)


def _signature(card):
    import tensorflow as tf

    return [
        tf.TensorSpec((None, *card.image_shape), tf.float32, name="noise"),
        tf.TensorSpec((None,), tf.int32, name="label"),
        tf.TensorSpec((), tf.float32, name="guidance_strength"),
        *(
            tf.TensorSpec((None, *shape), tf.float32, name=SAMPLER_INPUTS[name])
            for name, shape in card.condition_shapes.items()
        ),
    ]


def _sampling_function(network, card, tables):
    import tensorflow as tf

    from kdiffusion.training.conditions import without

    @tf.function(input_signature=_signature(card))
    def draw(noise, label, guidance_strength, *more):
        label, guidance_strength = _checked(label, guidance_strength, card.null_label)
        given: Any = dict(zip(("label", *card.condition_shapes), (label, *more), strict=True))
        none = without(given, True, card.null_label)
        conditions = {name: tf.concat([given[name], none[name]], axis=0) for name in given}
        timesteps, guides, estimate, corrected, step = map(
            tf.convert_to_tensor,
            (tables.timesteps, tables.guides, tables.estimate, tables.corrected, tables.step),
        )

        def move(i, x, memory):
            inputs = {
                "noisy_image": tf.concat([x, x], axis=0),
                "timestep": tf.fill(tf.shape(conditions["label"]), timesteps[i]),
                **conditions,
            }
            conditional, unconditional = tf.split(network(inputs, training=False), 2)
            guided = conditional + guidance_strength * guides[i] * (conditional - unconditional)
            x0 = tf.tensordot(estimate[i], tf.stack([x, guided]), 1)
            x0 = tf.clip_by_value(x0, *tables.limits)
            state = tf.concat([tf.stack([x, x0]), memory], axis=0)  # [6, B, H, W, C]
            x_corrected, x_next = (tf.tensordot(table[i], state, 1) for table in (corrected, step))
            memory_next = tf.concat([tf.stack([x_corrected, x0]), memory[:-2]], axis=0)
            return i + 1, x_next, memory_next

        start = (tf.constant(0), noise, tf.stack([tf.zeros_like(noise)] * (len(STATE) - 2)))
        _, image, _ = tf.while_loop(lambda i, *_: i < len(tables.timesteps), move, start)
        return {"image": tf.clip_by_value(image, *tables.limits)}

    return draw
