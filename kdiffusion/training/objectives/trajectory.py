"""Trajectory: a student learns to sample in few steps (SFD, Zhou et al. 2024).

The student visits a few timesteps by DDIM, t_0 > t_1 > ... > -1. From its own image at t_k the
teacher, a frozen copy of the network at the start, goes to t_{k+1} by several steps of
DPM-Solver++(2M), with guidance. The student's one step is drawn to where the teacher arrives
(arXiv 2409.19681, algorithm 1). So an image costs one evaluation a step, guidance included, and a
seed keeps its image.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import tyro
from pydantic import FiniteFloat
from pydantic.dataclasses import dataclass

from kdiffusion.diffusion.guidance import within_interval
from kdiffusion.training.objectives.optimizer_step import OptimizerStep
from kdiffusion.training.settings import STRICT, NotNegativeFloat, Positive

if TYPE_CHECKING:
    import tensorflow as tf

    from kdiffusion.diffusion.forward_process import NoiseSchedule
    from kdiffusion.training.diffusion_model import DiffusionModel
    from kdiffusion.training.solver_path import SolverPath


@dataclass(frozen=True, config=STRICT)
class Trajectory:
    """Arrive in one step where a teacher, the network at the start, arrives in several.

    Of a batch it uses the conditions and the number of images: its images begin as noise. Each step
    of the student is a step of the optimizer. The loss is the mean absolute difference from where
    the teacher arrives. In validation it is the root mean square difference of the averaged
    student's images from the teacher's of the same noise, after each step.
    """

    teacher_steps: Positive = 4
    """Steps of the teacher for each step of the student."""
    guidance_strength: FiniteFloat | None = None
    """Guidance strength of the teacher; None: as its card recommends."""
    guidance_interval: tuple[NotNegativeFloat, NotNegativeFloat] | None = None
    """Noise levels between which to guide the teacher; None: as its card recommends."""
    timesteps: Annotated[tuple[int, ...], tyro.conf.Suppress] = ()
    """Those that the student visits, falling. A run's are sampling.timesteps."""

    has_teacher: ClassVar[bool] = True
    learns_null_label: ClassVar[bool] = False

    @property
    def updates_per_step(self) -> int:
        """Steps of the optimizer in a training step."""
        return len(self.timesteps)

    def resolved(self, sampling: Any, parent: Any) -> Trajectory:
        """With the timesteps of the run's sampling, and its teacher's guidance where none is given.

        Args:
            sampling: `RecommendedSampling`.
            parent: `DenoiserCard` of the teacher, or None.

        Raises:
            ValueError: no timesteps.
        """
        if sampling.timesteps is None:
            raise ValueError("`sampling.timesteps` must be those of the student. Received: None")
        names = ("guidance_strength", "guidance_interval")
        left_out = [name for name in names if parent is not None and getattr(self, name) is None]
        guidance = {name: getattr(parent, name) for name in left_out}
        return dataclasses.replace(self, timesteps=tuple(sampling.timesteps), **guidance)

    def start(self, model: DiffusionModel) -> None:
        """Makes the teacher, which begins with the network's weights."""
        from kdiffusion.training.ema import averaged_copy

        model.teacher = averaged_copy(model.network)

    def paths(self, schedule: NoiseSchedule) -> list[tuple[SolverPath, SolverPath]]:
        """Of each step the student's way, which is DDIM's, and the teacher's."""
        from kdiffusion.training.solver_path import solver_path

        strengths = np.full(schedule.num_timesteps, self.guidance_strength or 0.0, np.float32)
        strengths *= within_interval(schedule.noise_levels, self.guidance_interval)
        spans = zip(self.timesteps, (*self.timesteps[1:], -1), strict=True)
        return [
            (
                solver_path(schedule, *span, 1, 0.0 * strengths),
                solver_path(schedule, *span, self.teacher_steps, strengths),
            )
            for span in spans
        ]

    def optimizer_steps(
        self, model: DiffusionModel, images: tf.Tensor, conditions: dict, seeds: tf.Tensor
    ) -> Iterator[OptimizerStep]:
        """From noise to images in the student's steps, each of which learns from the teacher.

        Args:
            model: `DiffusionModel`.
            images: float32 `[B, H, W, C]`, of which nothing but their number is used.
            conditions: dict of tensors `[B, ...]`, as from `conditions_of`.
            seeds: int32 `[4, 2]`, as of `step_seeds`.
        """
        from kdiffusion.training.solver_path import follow
        from kdiffusion.training.step_seeds import DROPOUT, fold_in

        x = _noise(images, seeds)
        for number, (own, taught) in enumerate(self.paths(model.schedule)):
            target = follow(model, taught, model.teacher, x, conditions)
            losses = functools.partial(self.losses, model, own)
            batch, seed = (x, conditions, target), fold_in(seeds[DROPOUT], number)
            yield OptimizerStep(losses, batch, own.timesteps_of(x), seed)
            x = follow(model, own, model.network, x, conditions)

    def measured(
        self, model: DiffusionModel, images: tf.Tensor, conditions: dict, seeds: tf.Tensor
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """How far the averaged student's images are from the teacher's, from the same noise."""
        from keras import ops

        from kdiffusion.training.solver_path import follow

        x = goal = _noise(images, seeds)
        for own, taught in self.paths(model.schedule):
            x = follow(model, own, model.ema_network, x, conditions)
            goal = follow(model, taught, model.teacher, goal, conditions)
            distances = ops.sqrt(ops.mean(ops.square(x - goal), axis=(1, 2, 3)))
            yield distances, own.timesteps_of(x)

    def losses(
        self,
        model: DiffusionModel,
        own: SolverPath,
        network: Any,
        x: tf.Tensor,
        conditions: dict[str, tf.Tensor],
        target: tf.Tensor,
    ) -> tf.Tensor:
        """How far each image is from its target after a step, on average: float32 `[B]`."""
        from keras import ops

        from kdiffusion.training.solver_path import move

        # Not clipped: outside of the range of pixels, the gradient would vanish.
        reached, _ = move(model, own, 0, network, x, x, conditions, training=True, clip=False)
        return ops.mean(ops.abs(reached - target), axis=(1, 2, 3))


def _noise(images, seeds):
    """The noise that a batch begins with, float32 `[B, H, W, C]`."""
    import tensorflow as tf

    from kdiffusion.training.step_seeds import NOISE

    noise = tf.random.stateless_normal(tf.shape(images), seeds[NOISE])
    return tf.ensure_shape(noise, images.shape)
