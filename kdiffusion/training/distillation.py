"""StudentModel: a network that learns to sample in few steps (SFD, Zhou et al. 2024).

The student visits a few timesteps by DDIM, t_0 > t_1 > ... > -1. From its own image at t_k the
teacher, a frozen copy of the network at the start, goes to t_{k+1} by several steps of
DPM-Solver++(2M), with guidance. The student's one step is drawn to where the teacher arrives
(arXiv 2409.19681, algorithm 1). So an image costs one evaluation a step, guidance included, and a
seed keeps its image.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.guidance import within_interval
from kdiffusion.diffusion.higher_order_samplers import dpmpp_2m_step
from kdiffusion.diffusion.prediction import TARGETS, Estimate
from kdiffusion.training.batches import images_and_labels
from kdiffusion.training.diffusion_model import DiffusionModel
from kdiffusion.training.ema import averaged_copy
from kdiffusion.training.metrics import results
from kdiffusion.training.step_seeds import DROPOUT, NOISE, fold_in, seed_dropout, step_seeds


@dataclasses.dataclass(frozen=True)
class SolverPath:
    """Steps of DPM-Solver++(2M) as numbers: x_s = a x + b x_0 + c (x_0 of the step before).

    Args:
        timesteps: int32 `[steps]`.
        rows: float32 `[steps, 3]`: a, b, c.
        guides: bool `[steps]`: whether guidance applies.
    """

    timesteps: np.ndarray
    rows: np.ndarray
    guides: np.ndarray


def solver_path(
    schedule: NoiseSchedule, start: int, end: int, steps: int, guides: np.ndarray
) -> SolverPath:
    """The path from one timestep to another; one of a single step is DDIM's.

    Args:
        schedule: `NoiseSchedule`.
        start, end: int. Timesteps, end < start; -1 is the clean image.
        steps: int. At most as many as there are timesteps between the two.
        guides: bool `[T]`.
    """
    timesteps = np.linspace(start, end, min(steps, start - end), endpoint=False).round().astype(int)
    x, x0, x0_before = np.eye(3)
    unused: Any = None  # fresh noise: this solver adds none
    rows, history = [], ()
    for t, s in zip(timesteps, [*timesteps[1:], end], strict=True):
        seen = Estimate(int(t), x, x0, None)  # pyright: ignore[reportArgumentType]
        # The solver itself is asked: its step is linear, so one look at the basis is the row.
        row, _ = dpmpp_2m_step(
            lambda *_, seen=seen: seen, x, int(t), int(s), schedule, history, unused
        )
        rows.append(row)
        history = (dataclasses.replace(seen, x0=x0_before),)
    return SolverPath(timesteps.astype(np.int32), np.asarray(rows, np.float32), guides[timesteps])


@keras.saving.register_keras_serializable("kdiffusion")
class StudentModel(DiffusionModel):
    """A network under training to sample in few steps, its average, and its frozen teacher.

    Of a batch `fit` uses the labels and the number of images: noise is the student's only input.
    Each step of the student is a step of the optimizer. The loss is the mean absolute difference
    from where the teacher arrives. In validation it is the root mean square difference of the
    averaged student's images from the teacher's of the same noise, after each step.

    Args:
        network, schedule: as of `DiffusionModel`; the teacher begins with the network's weights.
        timesteps: decreasing ints in [0, T - 1]: those that the student visits.
        teacher_steps: int. The teacher's steps in each of the student's. Defaults to `4`.
        guidance_strength: float, w of the teacher. Defaults to `0.0`.
        guidance_interval: (low, high), between which noise levels the teacher is guided; None is
            everywhere.
        **options: as of `DiffusionModel`; those that choose timesteps and weigh losses do nothing.
    """

    # Arguments of the constructor, beside those of `DiffusionModel`.
    settings = ("timesteps", "teacher_steps", "guidance_strength", "guidance_interval")

    def __init__(
        self,
        network: keras.Model,
        schedule: NoiseSchedule | Sequence[float],
        *,
        timesteps: Sequence[int],
        teacher_steps: int = 4,
        guidance_strength: float = 0.0,
        guidance_interval: tuple[float, float] | None = None,
        **options: Any,
    ):
        super().__init__(network, schedule, **{"label_dropout": 0.0, **options})
        self.timesteps = tuple(timesteps)
        self.teacher_steps = teacher_steps
        self.guidance_strength = guidance_strength
        self.guidance_interval = guidance_interval
        self.teacher = averaged_copy(network)
        guides = np.full(self.schedule.num_timesteps, guidance_strength != 0)
        if guidance_interval is not None:
            guides &= within_interval(self.schedule.noise_levels, guidance_interval)
        self.guides = guides  # bool [T]: at which timesteps the teacher is guided
        ends = (*self.timesteps[1:], -1)
        spans = list(zip(self.timesteps, ends, strict=True))
        self.paths = [solver_path(self.schedule, *span, teacher_steps, guides) for span in spans]
        self.updates_per_step = len(spans)
        self.own_steps = [solver_path(self.schedule, *span, 1, guides & False) for span in spans]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """From noise to images in the student's steps, each of which learns from the teacher."""
        x, labels, seed = self._begin(data, self.step)
        for number, (own, taught) in enumerate(zip(self.own_steps, self.paths, strict=True)):
            target = self.follow(taught, self.teacher, x, labels)
            objective = functools.partial(self._step_objective, own)
            updates = self.step * self.updates_per_step + number + 1
            losses = self._learn(objective, fold_in(seed, number), (x, labels, target), updates)
            self._count(losses, own)
            x = self.follow(own, self.network, x, labels)
        self.step.assign_add(1)
        return results([self._loss_by_timestep, self._gradient_norm])

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """How far the averaged student's images are from the teacher's, from the same noise."""
        x, labels, _ = self._begin(data, -1)
        goal = x
        for own, taught in zip(self.own_steps, self.paths, strict=True):
            x = self.follow(own, self.ema_network, x, labels)
            goal = self.follow(taught, self.teacher, goal, labels)
            self._count(ops.sqrt(ops.mean(ops.square(x - goal), axis=(1, 2, 3))), own)
        return results([self._loss_by_timestep])

    def _begin(self, data, step):
        """The noise that a batch begins with, its labels, and the seed of its dropout."""
        images, labels = images_and_labels(data, self.network)
        seeds = step_seeds(self.seed, step)
        noise = tf.random.stateless_normal(tf.shape(images), seeds[NOISE])
        return tf.ensure_shape(noise, images.shape), labels, seeds[DROPOUT]

    def _count(self, losses, own):
        self._loss_by_timestep.update_state(losses, tf.fill(tf.shape(losses), own.timesteps[0]))

    def _step_objective(self, own, dropout_seed, x, labels, target):
        """(What is minimised: a scalar, scaled as float16 needs it; the losses `[B]`)."""
        seed_dropout(self.network, dropout_seed)
        # Not clipped: outside of the range of pixels, the gradient would vanish.
        reached, _ = self._move(own, 0, self.network, x, x, labels, training=True, clip=False)
        losses = ops.mean(ops.abs(reached - target), axis=(1, 2, 3))
        return self.optimizer.scale_loss(ops.mean(losses)), losses

    def follow(
        self, path: SolverPath, network: keras.Model, x: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        """x at the end of a path, by the predictions of a network; all float32 `[B, H, W, C]`."""
        if len(path.timesteps) == 1:
            return self._move(path, 0, network, x, x, labels)[0]
        _, x, _ = tf.while_loop(
            lambda i, *_: i < len(path.timesteps),
            lambda i, x, x0_before: (i + 1, *self._move(path, i, network, x, x0_before, labels)),
            (tf.constant(0), x, x),
            maximum_iterations=len(path.timesteps),
        )
        return x

    def _move(self, path, i, network, x, x0_before, labels, training=False, clip=True):
        """(x, x_0) after step i of a path."""
        timesteps = tf.fill(tf.shape(labels), tf.constant(path.timesteps)[i])

        def plain():
            return self.clean_images(network, x, timesteps, labels, training=training)

        def guided():
            return self.guided_clean_images(network, x, timesteps, labels)

        x0 = tf.cond(tf.constant(path.guides)[i], guided, plain) if path.guides.any() else plain()
        if clip:
            x0 = tf.clip_by_value(x0, -1.0, 1.0)
        from_x, from_x0, from_before = tf.unstack(tf.constant(path.rows)[i])
        return from_x * x + from_x0 * x0 + from_before * x0_before, x0

    def clean_images(
        self,
        network: keras.Model,
        x: tf.Tensor,
        timesteps: tf.Tensor,
        labels: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        """x_0 as a network predicts it: float32 `[B, H, W, C]` of x, with `[B]` of the others."""
        inputs = {"noisy_image": x, "timestep": timesteps, "label": labels}
        prediction = ops.cast(network(inputs, training=training), "float32")
        alpha_bar = tf.gather(self._alphas_cumprod, timesteps)[:, None, None, None]
        to_x0_and_eps = TARGETS[self.prediction_type].to_x0_and_eps
        return to_x0_and_eps(prediction, x, tf.sqrt(alpha_bar), tf.sqrt(1.0 - alpha_bar))[0]

    def guided_clean_images(
        self, network: keras.Model, x: tf.Tensor, timesteps: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        """`clean_images` with guidance where `guides` says so, in one call of twice the batch."""
        strengths = tf.gather(np.float32(self.guidance_strength * self.guides), timesteps)
        null = tf.fill(tf.shape(labels), int(self.network.num_classes))
        # Guidance is linear, and so is x_0 in the prediction: either may be guided.
        x, timesteps = (tf.concat([each, each], axis=0) for each in (x, timesteps))
        labels = tf.concat([labels, null], axis=0)
        conditional, unconditional = tf.split(self.clean_images(network, x, timesteps, labels), 2)
        return conditional + strengths[:, None, None, None] * (conditional - unconditional)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.settings}}
