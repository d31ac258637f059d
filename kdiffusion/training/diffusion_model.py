"""DiffusionModel: the training step of DDPM (Ho et al. 2020, algorithm 1) as a `keras.Model`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.forward_process import NoiseSchedule, q_sample
from kdiffusion.diffusion.prediction import check_prediction_type, from_x0_and_eps
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.sampling_plan import Integers, Labels
from kdiffusion.diffusion.weighting import loss_weights
from kdiffusion.training.batches import check_network, images_and_labels, with_checked_start
from kdiffusion.training.denoiser import model_card, numpy_denoiser, prediction_function
from kdiffusion.training.ema import averaged_copy, update_average
from kdiffusion.training.gradients import apply_gradients, gradients_in_parts
from kdiffusion.training.metrics import LossByTimestep, StepMean, results
from kdiffusion.training.step_seeds import (
    DROPOUT,
    LABELS,
    NOISE,
    TIMESTEPS,
    seed_dropout,
    step_seeds,
)  # fmt: skip
from kdiffusion.training.timesteps import ShuffledTimesteps, make_timestep_sampler

# Arguments of the constructor that are attributes of the same name.
SETTINGS = (
    "prediction_type", "loss_weighting", "timestep_sampling", "log_sigma", "label_dropout",
    "ema_decay", "gradient_clip_norm", "gradient_accumulation", "seed",
)  # fmt: skip


@keras.saving.register_keras_serializable("kdiffusion")
class DiffusionModel(keras.Model):
    """A denoiser in training, and the moving average of its weights, which is used to sample.

    `fit`, `evaluate`, `save` and `keras.saving.load_model` work as for any Keras model, on batches
    of (images `[B, H, W, C]`, floats in [-1, 1] or uint8; int labels `[B]` or `[B, 1]`). The loss
    is the model's own. All random numbers derive from (`seed`, `step`, the replica), so that a step
    can be repeated; `step` counts the batches trained on.

    Args:
        network: `UNet`, or a Keras model with its inputs, output, `image_shape`, `num_classes`.
        schedule: `NoiseSchedule`, or a sequence: its alphas_cumprod.
        prediction_type: what the network predicts, a key of `TARGETS`. Defaults to `"epsilon"`.
        loss_weighting: a key of `LOSS_WEIGHTINGS`: see `loss_weights`. Defaults to `"simple"`.
        timestep_sampling: a key of `TIMESTEP_SAMPLING`. Defaults to `"stratified"`.
        log_sigma: (mean, std) of ln sigma under `"log_normal"`. Defaults to `(-0.4, 1.0)`.
        label_dropout: float in [0, 1]. Chance that an example's label is replaced by the null
            label, for classifier-free guidance (Ho & Salimans 2022). Defaults to `0.1`.
        ema_decay: float in [0, 1). Decay per step of the moving average; it warms up as
            min(ema_decay, (1 + step) / (10 + step)). Defaults to DDPM's `0.9999`.
        gradient_clip_norm: float above 0, or None. Largest global norm. Defaults to `1.0`.
        gradient_accumulation: int. Parts of a replica's batch, in turn. Defaults to `1`.
        seed: int of 32 bits. Defaults to `0`.
    """

    teacher: keras.Model | None = None  # of a `StudentModel`
    updates_per_step: int = 1  # steps of the optimizer in a training step

    def __init__(
        self,
        network: keras.Model,
        schedule: NoiseSchedule | Sequence[float],
        prediction_type: str = "epsilon",
        loss_weighting: str = "simple",
        timestep_sampling: str = "stratified",
        log_sigma: tuple[float, float] = (-0.4, 1.0),
        label_dropout: float = 0.1,
        ema_decay: float = 0.9999,
        gradient_clip_norm: float | None = 1.0,
        gradient_accumulation: int = 1,
        seed: int = 0,
        **kwargs: Any,
    ):
        check_network(network)
        # The network's policy, so that `compile` scales the loss where float16 needs it.
        kwargs.setdefault("dtype", network.get_config().get("dtype"))
        super().__init__(**kwargs)
        if not isinstance(schedule, NoiseSchedule):
            schedule = NoiseSchedule(np.asarray(schedule))
        check_prediction_type(prediction_type, schedule)
        self.network = network
        self.ema_network = averaged_copy(network)
        self.schedule = schedule
        self.prediction_type = prediction_type
        self.loss_weighting = loss_weighting
        self.timestep_sampling = timestep_sampling
        self.log_sigma = tuple(log_sigma)
        self.label_dropout = label_dropout
        self.ema_decay = ema_decay
        self.gradient_clip_norm = gradient_clip_norm
        self.gradient_accumulation = gradient_accumulation
        self.seed = seed
        self.timestep_sampler = make_timestep_sampler(timestep_sampling, schedule, log_sigma)
        # Uniform whatever training draws, so that validation losses compare. Stratified, too: all
        # batches meet the same draws, whose chance would never average out.
        self._validation_timesteps = ShuffledTimesteps(schedule)
        self._alphas_cumprod = schedule.alphas_cumprod.astype("float32")
        weights = loss_weights(schedule, prediction_type, loss_weighting)
        self._loss_weights = weights.astype("float32")
        if schedule.ends_in_pure_noise and (timestep_sampling == "log_normal" or weights[-1] == 0):
            unseen = "No step learns from pure noise, where sampling starts"
            warnings.warn(f"{unseen}: {timestep_sampling=}, {loss_weighting=}", stacklevel=2)
        self.step = self.add_weight((), "zeros", dtype="int64", trainable=False, name="step")
        self._loss_by_timestep = LossByTimestep(schedule.num_timesteps)
        self._gradient_norm = StepMean(name="gradient_norm")
        self.built = True  # Both networks are.

    def diffusion_losses(
        self,
        network: keras.Model,
        images: tf.Tensor,
        labels: tf.Tensor,
        timesteps: tf.Tensor,
        noise: tf.Tensor,
        training: bool,
    ) -> tf.Tensor:
        """Weighted squared error of each example (Ho et al. 2020, eq. 14).

        Args:
            network: the live or the averaged network.
            images: float32 `[B, H, W, C]`: x_0.
            labels: int `[B]`; null labels included.
            timesteps: int `[B]`.
            noise: float32 `[B, H, W, C]`: eps.
            training: bool. Whether dropout acts.

        Returns:
            float32 `[B]`.
        """
        alphas_cumprod = ops.take(self._alphas_cumprod, timesteps)[:, None, None, None]
        noisy = q_sample(images, noise, alphas_cumprod)
        target = from_x0_and_eps(images, noise, alphas_cumprod, self.prediction_type)
        inputs = {"noisy_image": noisy, "timestep": timesteps, "label": labels}
        prediction = network(inputs, training=training)
        errors = ops.mean(ops.square(target - ops.cast(prediction, "float32")), axis=(1, 2, 3))
        return errors * ops.take(self._loss_weights, timesteps)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Algorithm 1: adds noise to a batch, takes a gradient step and updates the average."""
        images, labels = images_and_labels(data, self.network)
        timesteps, noise, dropped = self._draw(images, self.step)
        labels = tf.where(dropped, int(self.network.num_classes), labels)
        seed, batch = step_seeds(self.seed, self.step)[DROPOUT], (images, labels, timesteps, noise)
        losses = self._learn(self._objective, seed, batch, self.step + 1)
        self.step.assign_add(1)
        importance = self.timestep_sampler.importance(timesteps)
        self.timestep_sampler.update(losses, timesteps)
        self._loss_by_timestep.update_state(losses, timesteps, importance)
        return results([self._loss_by_timestep, self._gradient_norm])

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The loss of the averaged network; every batch has the same timesteps and noise."""
        images, labels = images_and_labels(data, self.network)
        timesteps, noise, _ = self._draw(images, -1, self._validation_timesteps)
        batch = images, labels, timesteps, noise
        losses = self.diffusion_losses(self.ema_network, *batch, training=False)
        self._loss_by_timestep.update_state(losses, timesteps)
        return results([self._loss_by_timestep])

    def _draw(self, images, step, timestep_sampler=None):
        """What chance decides of a batch: timesteps, noise, and whose label is dropped."""
        seeds = step_seeds(self.seed, step)
        timestep_sampler = timestep_sampler or self.timestep_sampler
        timesteps = timestep_sampler.draw(tf.shape(images)[0], seeds[TIMESTEPS])
        noise = tf.random.stateless_normal(tf.shape(images), seeds[NOISE])
        uniform = tf.random.stateless_uniform(tf.shape(images)[:1], seeds[LABELS])
        return timesteps, noise, uniform < self.label_dropout

    def _objective(self, dropout_seed, images, labels, timesteps, noise):
        """(What is minimised: a scalar, scaled as float16 needs it; the losses `[B]`)."""
        seed_dropout(self.network, dropout_seed)
        losses = self.diffusion_losses(
            self.network, images, labels, timesteps, noise, training=True
        )
        importance = self.timestep_sampler.importance(timesteps)
        return self.optimizer.scale_loss(ops.mean(importance * losses)), losses

    def _learn(self, objective, seed, batch, updates):
        """One step of the optimizer and of the average, the `updates`-th; the losses `[B]`."""
        variables = self.network.trainable_variables
        parts = self.gradient_accumulation
        gradients, losses = gradients_in_parts(objective, variables, parts, seed, batch)
        norm = apply_gradients(self.optimizer, gradients, variables, self.gradient_clip_norm)
        update_average(self.ema_network, self.network, self.ema_decay, updates)
        # float16's scale is found by going too far: such a step is left out, and is no fault.
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        counts = ops.isfinite(norm) if scaled else True
        self._gradient_norm.update_state(ops.where(counts, norm, 0.0), counts)
        return losses

    @property
    def metrics(self) -> list[keras.Metric]:
        return [self._loss_by_timestep, self._gradient_norm]

    def fit(self, x: Any = None, y: Any = None, *args: Any, **options: Any) -> Any:
        """As for any Keras model; checks the first images and labels before it starts."""
        x = with_checked_start(x, y, self.network.num_classes)
        return super().fit(x, y, *args, **options)

    def compile(self, optimizer: Any = "rmsprop", loss: None = None, **options: Any) -> None:
        """As for any Keras model, but for the loss and the metrics, which are the model's own."""
        if loss is not None:
            raise ValueError("`loss` must be None: choose `prediction_type` and `loss_weighting`")
        super().compile(optimizer, **options)
        # In the first step, variables would be made in its graph, which then is traced once more.
        if self.optimizer is not None:  # None serves a model that is only evaluated
            self.optimizer.build(self.network.trainable_variables)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was; Keras asks for it where `compile` is overridden."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing to build: under a strategy Keras would call the model on a batch to find out."""

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """The prediction of the averaged weights: what is sampled, evaluated and exported."""
        return self.ema_network(inputs, training=False)

    @functools.cached_property
    def prediction_function(self) -> Any:
        """The averaged network as a `tf.function` of the Denoiser's inputs, for any batch."""
        return prediction_function(self, self.network.image_shape)

    def denoiser(self, card: DenoiserCard | None = None) -> NetworkDenoiser:
        """The averaged network as a Denoiser on NumPy arrays; `card` replaces `self.card()`."""
        return numpy_denoiser(card or self.card(), self.prediction_function)

    def card(self, **facts: Any) -> DenoiserCard:
        """The card of the averaged network; `facts` are fields to add or to change."""
        return model_card(self, **facts)

    def sample(self, labels: Labels, seeds: Integers | None = None, **options: Any) -> np.ndarray:
        """Samples images with the averaged network: `kdiffusion.sample`, with its arguments."""
        return sample(self.denoiser(), labels, seeds, **options)

    def export(self, filepath: str, format: str = "tf_saved_model", **options: Any) -> None:
        """Keras's own export of the averaged network, without a card: see `export_network`."""
        self.ema_network.export(filepath, format, **options)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            # Not every network has them in a configuration of its own.
            "image_shape": list(self.network.image_shape),
            "num_classes": int(self.network.num_classes),
            "schedule": self.schedule.alphas_cumprod.tolist(),
            **{name: getattr(self, name) for name in SETTINGS},
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> DiffusionModel:
        config = dict(config)
        network = keras.saving.deserialize_keras_object(config.pop("network"), custom_objects)
        image_shape, num_classes = tuple(config.pop("image_shape")), config.pop("num_classes")
        if not hasattr(network, "image_shape"):
            network.image_shape, network.num_classes = image_shape, num_classes
        return cls(network, **config)
