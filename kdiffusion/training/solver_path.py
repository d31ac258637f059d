"""A network's way from one timestep to another in the training's graph, by DPM-Solver++(2M)."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.higher_order_samplers import dpmpp_2m_step
from kdiffusion.diffusion.prediction import TARGETS
from kdiffusion.diffusion.transition import STATE, linear_rows
from kdiffusion.training.conditions import without
from kdiffusion.training.diffusion_model import DiffusionModel


@dataclasses.dataclass(frozen=True)
class SolverPath:
    """Steps of DPM-Solver++(2M) as numbers: x_s = a x + b x_0 + c (x_0 of the step before).

    Args:
        timesteps: int32 `[steps]`.
        rows: float32 `[steps, 3]`: a, b, c.
        strengths: float32 `[steps]`: the guidance strength of each.
    """

    timesteps: np.ndarray
    rows: np.ndarray
    strengths: np.ndarray

    def timesteps_of(self, x: tf.Tensor, i: Any = 0) -> tf.Tensor:
        """The timestep of step i for each example of x: int32 `[B]`."""
        return tf.fill(tf.shape(x)[:1], tf.constant(self.timesteps)[i])


def solver_path(
    schedule: NoiseSchedule, start: int, end: int, steps: int, strengths: np.ndarray
) -> SolverPath:
    """The path from one timestep to another; one of a single step is DDIM's.

    Its steps are even, but towards the clean image they shorten as squares do: texture fainter than
    the noise that the last step begins with is lost.

    Args:
        schedule: `NoiseSchedule`.
        start, end: int. Timesteps, end < start; -1 is the clean image.
        steps: int. At most as many as there are timesteps between the two.
        strengths: float32 `[T]`: the guidance strength at each timestep.
    """
    left = np.arange(min(steps, start - end), 0, -1)
    share = (left / len(left)) ** (2 if end < 0 else 1)
    timesteps = np.maximum(np.rint(end + (start - end) * share), end + left).astype(int)
    pairs = list(zip(timesteps.tolist(), [*timesteps[1:].tolist(), end], strict=True))
    _, rows = linear_rows(dpmpp_2m_step, pairs, schedule)
    own = [STATE.index(name) for name in ("x", "x0", "x0_1")]
    return SolverPath(
        timesteps.astype(np.int32), rows[:, own].astype(np.float32), strengths[timesteps]
    )


def follow(
    model: DiffusionModel,
    path: SolverPath,
    network: keras.Model,
    x: tf.Tensor,
    conditions: dict[str, tf.Tensor],
) -> tf.Tensor:
    """x at the end of a path, by the predictions of a network; all float32 `[B, H, W, C]`."""
    if len(path.timesteps) == 1:
        return move(model, path, 0, network, x, x, conditions)[0]
    _, x, _ = tf.while_loop(
        lambda i, *_: i < len(path.timesteps),
        lambda i, x, x0_before: (i + 1, *move(model, path, i, network, x, x0_before, conditions)),
        (tf.constant(0), x, x),
        maximum_iterations=len(path.timesteps),
    )
    return x


def move(
    model: DiffusionModel,
    path: SolverPath,
    i: Any,
    network: keras.Model,
    x: tf.Tensor,
    x0_before: tf.Tensor,
    conditions: dict[str, tf.Tensor],
    training: bool = False,
    clip: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """(x, x_0) after step i of a path, both float32 `[B, H, W, C]`."""
    timesteps = path.timesteps_of(x, i)

    def plain():
        return clean_images(model, network, x, timesteps, conditions, training=training)

    def guided():
        # One call of twice the batch. Guidance is linear, and so is x_0: either may be guided.
        null = without(conditions, True, model.network.num_classes)
        both = {name: tf.concat([conditions[name], null[name]], axis=0) for name in null}
        twice_x, twice_t = (tf.concat([each, each], axis=0) for each in (x, timesteps))
        x0 = clean_images(model, network, twice_x, twice_t, both)
        conditional, unconditional = tf.split(x0, 2)
        return conditional + tf.constant(path.strengths)[i] * (conditional - unconditional)

    guides = path.strengths != 0
    x0 = tf.cond(tf.constant(guides)[i], guided, plain) if guides.any() else plain()
    if clip:
        x0 = tf.clip_by_value(x0, -1.0, 1.0)
    from_x, from_x0, from_before = tf.unstack(tf.constant(path.rows)[i])
    return from_x * x + from_x0 * x0 + from_before * x0_before, x0


def clean_images(
    model: DiffusionModel,
    network: keras.Model,
    x: tf.Tensor,
    timesteps: tf.Tensor,
    conditions: dict[str, tf.Tensor],
    training: bool = False,
) -> tf.Tensor:
    """x_0 as a network predicts it: float32 `[B, H, W, C]` of x, with `[B]` of the others."""
    inputs = {"noisy_image": x, "timestep": timesteps, **conditions}
    prediction = ops.cast(network(inputs, training=training), "float32")
    alpha_bar = tf.gather(model.alphas_cumprod, timesteps)[:, None, None, None]
    to_x0_and_eps = TARGETS[model.prediction_type].to_x0_and_eps
    return to_x0_and_eps(prediction, x, tf.sqrt(alpha_bar), tf.sqrt(1.0 - alpha_bar))[0]
