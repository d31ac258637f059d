"""Denoising: the objective of DDPM (Ho et al. 2020, algorithm 1), and what was improved on it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import FiniteFloat
from pydantic.dataclasses import dataclass

from kdiffusion.diffusion.forward_process import q_sample
from kdiffusion.diffusion.prediction import from_x0_and_eps
from kdiffusion.diffusion.weighting import LOSS_WEIGHTINGS, TIMESTEP_SAMPLING_NAMES, loss_weights
from kdiffusion.training.objectives.optimizer_step import OptimizerStep
from kdiffusion.training.settings import STRICT, Fraction, OneOf, PositiveFloat

if TYPE_CHECKING:
    import tensorflow as tf

    from kdiffusion.training.diffusion_model import DiffusionModel


@dataclass(frozen=True, config=STRICT)
class Denoising:
    """Predict the noise in images, each at a timestep of its own."""

    loss_weighting: Annotated[str, OneOf(LOSS_WEIGHTINGS)] = "simple"
    """Weight of each timestep: equal, min-SNR with gamma 5, or EDM's."""
    timestep_sampling: Annotated[str, OneOf(TIMESTEP_SAMPLING_NAMES)] = "stratified"
    """How to sample t. loss_second_moment: more often where the loss is large, with less weight."""
    log_sigma_mean: FiniteFloat = -0.4
    """Mean of ln sigma under log_normal."""
    log_sigma_std: PositiveFloat = 1.0
    """Standard deviation of ln sigma."""
    label_dropout: Fraction = 0.1
    """Share of examples that lose their label, and all other conditions, for guidance."""

    updates_per_step: ClassVar[int] = 1  # steps of the optimizer in a training step
    has_teacher: ClassVar[bool] = False

    @property
    def learns_null_label(self) -> bool:
        """Whether the network learns to predict without a label, which guidance needs."""
        return self.label_dropout > 0

    def resolved(self, sampling: Any, parent: Any) -> Denoising:
        """As it is: nothing is left to the run's sampling or to its parent."""
        return self

    def start(self, model: DiffusionModel) -> None:
        """Makes the timestep samplers of training and of validation, and the losses' weights."""
        from kdiffusion.training.timesteps import TIMESTEP_SAMPLING, ShuffledTimesteps

        schedule, log_sigma = model.schedule, (self.log_sigma_mean, self.log_sigma_std)
        model.timestep_sampler = TIMESTEP_SAMPLING[self.timestep_sampling](schedule, log_sigma)
        # Uniform whatever training draws, so that validation losses compare. Stratified, too: all
        # batches meet the same draws, whose chance would never average out.
        model.validation_timesteps = ShuffledTimesteps(schedule)
        weights = loss_weights(schedule, model.prediction_type, self.loss_weighting)
        model.loss_weights = weights.astype("float32")
        is_unseen = self.timestep_sampling == "log_normal" or weights[-1] == 0
        if schedule.ends_in_pure_noise and is_unseen:
            warnings.warn(
                f"No step learns from pure noise, where sampling starts: {self}", stacklevel=3
            )

    def optimizer_steps(
        self, model: DiffusionModel, images: tf.Tensor, conditions: dict, seeds: tf.Tensor
    ) -> Iterator[OptimizerStep]:
        """Adds noise to a batch: one step of the optimizer.

        Args:
            model: `DiffusionModel`.
            images: float32 `[B, H, W, C]`: x_0.
            conditions: dict of tensors `[B, ...]`, as from `conditions_of`.
            seeds: int32 `[4, 2]`, as of `step_seeds`.
        """
        from kdiffusion.training.conditions import without
        from kdiffusion.training.step_seeds import DROPOUT

        timesteps, noise, dropped = self.draw(images, seeds, model.timestep_sampler)
        conditions = without(conditions, dropped, model.network.num_classes)
        yield OptimizerStep(
            functools.partial(self.losses, model, training=True),
            (images, conditions, timesteps, noise),
            timesteps,
            seeds[DROPOUT],
            model.timestep_sampler.importance(timesteps),
            lambda losses: model.timestep_sampler.update(losses, timesteps),
        )

    def measured(
        self, model: DiffusionModel, images: tf.Tensor, conditions: dict, seeds: tf.Tensor
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """The losses `[B]` of the averaged network and their timesteps, from uniform draws."""
        timesteps, noise, _ = self.draw(images, seeds, model.validation_timesteps)
        batch = images, conditions, timesteps, noise
        yield self.losses(model, model.ema_network, *batch, training=False), timesteps

    def draw(
        self, images: tf.Tensor, seeds: tf.Tensor, timestep_sampler: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What chance decides of a batch: timesteps, noise, and who loses its conditions."""
        import tensorflow as tf

        from kdiffusion.training.step_seeds import LABELS, NOISE, TIMESTEPS

        timesteps = timestep_sampler.draw(tf.shape(images)[0], seeds[TIMESTEPS])
        noise = tf.random.stateless_normal(tf.shape(images), seeds[NOISE])
        uniform = tf.random.stateless_uniform(tf.shape(images)[:1], seeds[LABELS])
        return timesteps, noise, uniform < self.label_dropout

    def losses(
        self,
        model: DiffusionModel,
        network: Any,
        images: tf.Tensor,
        conditions: dict[str, tf.Tensor],
        timesteps: tf.Tensor,
        noise: tf.Tensor,
        training: bool,
    ) -> tf.Tensor:
        """Weighted squared error of each example (Ho et al. 2020, eq. 14).

        Args:
            model: `DiffusionModel`.
            network: keras.Model, its live or its averaged network.
            images: float32 `[B, H, W, C]`: x_0.
            conditions: dict of tensors `[B, ...]`; null ones included.
            timesteps: int `[B]`.
            noise: float32 `[B, H, W, C]`: eps.
            training: bool. Whether dropout acts.

        Returns:
            float32 `[B]`.
        """
        from keras import ops

        alphas_cumprod = ops.take(model.alphas_cumprod, timesteps)[:, None, None, None]
        noisy = q_sample(images, noise, alphas_cumprod)
        target = from_x0_and_eps(images, noise, alphas_cumprod, model.prediction_type)
        inputs = {"noisy_image": noisy, "timestep": timesteps, **conditions}
        prediction = network(inputs, training=training)
        errors = ops.mean(ops.square(target - ops.cast(prediction, "float32")), axis=(1, 2, 3))
        return errors * ops.take(model.loss_weights, timesteps)
