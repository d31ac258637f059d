"""DiffusionModel: the training step of DDPM (Ho et al. 2020, algorithm 1) as a `keras.Model`."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import kdiffusion.networks.unet  # noqa: F401  a saved model's network loads where this is imported
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import Asked, Integers
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.prediction import check_prediction_type
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.training.conditions import ATTRIBUTES
from kdiffusion.training.denoiser import model_card, numpy_denoiser, prediction_function
from kdiffusion.training.ema import averaged_copy, update_average
from kdiffusion.training.gradients import apply_gradients, gradients_in_parts
from kdiffusion.training.inputs import check_network, images_and_conditions, with_checked_start
from kdiffusion.training.metrics import LossByTimestep, StepMean, as_logs
from kdiffusion.training.objectives import OBJECTIVES, Denoising
from kdiffusion.training.step_seeds import seed_dropout, step_seeds

# Arguments of the constructor that are attributes of the same name.
SETTINGS = ("prediction_type", "ema_decay", "gradient_clip_norm", "gradient_accumulation", "seed")


@keras.saving.register_keras_serializable("kdiffusion")
class DiffusionModel(keras.Model):
    """A denoiser in training, and the moving average of its weights, which is used to sample.

    `fit`, `evaluate`, `save` and `keras.saving.load_model` work as for any Keras model, on batches
    of (images `[B, H, W, C]`, floats in [-1, 1] or uint8; int labels `[B]` or `[B, 1]`). The loss
    is the model's own. All random numbers derive from (`seed`, `step`, the replica), so that a step
    can be repeated; `step` counts the batches trained on.

    Args:
        network: `UNet`, or a Keras model with its inputs, output, `image_shape`, `num_classes`.
        schedule: `NoiseSchedule`, a name for `make_schedule`, or a sequence: its alphas_cumprod.
        objective: of `kdiffusion.training.objectives`: what it learns. Defaults to `Denoising()`.
        prediction_type: what the network predicts, a key of `TARGETS`. Defaults to `"epsilon"`.
        ema_decay: float in [0, 1). Decay per step of the moving average; it warms up as
            min(ema_decay, (1 + step) / (10 + step)). Defaults to DDPM's `0.9999`.
        gradient_clip_norm: float above 0, or None. Largest global norm. Defaults to `1.0`.
        gradient_accumulation: int. Parts of a replica's batch, in turn. Defaults to `1`.
        seed: int of 32 bits. Defaults to `0`.
    """

    teacher: keras.Model | None = None  # of an objective that has one
    timestep_sampler: Any = None  # likewise
    batch_size: int = 0  # of the last `fit`: what the card counts images by

    def __init__(
        self,
        network: keras.Model,
        schedule: NoiseSchedule | str | Sequence[float],
        objective: Any = Denoising(),
        prediction_type: str = "epsilon",
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
        if isinstance(schedule, str):
            schedule = make_schedule(schedule)
        if not isinstance(schedule, NoiseSchedule):
            schedule = NoiseSchedule(np.asarray(schedule))
        check_prediction_type(prediction_type, schedule)
        self.network = network
        self.ema_network = averaged_copy(network)
        self.schedule = schedule
        self.objective = objective
        self.prediction_type = prediction_type
        self.ema_decay = ema_decay
        self.gradient_clip_norm = gradient_clip_norm
        self.gradient_accumulation = gradient_accumulation
        self.seed = seed
        self.alphas_cumprod = schedule.alphas_cumprod.astype("float32")
        objective.start(self)
        self.step = self.add_weight((), "zeros", dtype="int64", trainable=False, name="step")
        self._loss_by_timestep = LossByTimestep(schedule.num_timesteps)
        self._gradient_norm = StepMean(name="gradient_norm")
        self.built = True  # Both networks are.

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """What the objective makes of a batch: steps of the optimizer, each with its average.

        Of `Denoising`, on one device, it comes to this, with a part of the labels left out:

            t, eps = draw(images)
            with tf.GradientTape() as tape:
                loss = mean(losses(images, labels, t, eps))
            gradients = clipped(tape.gradient(loss, weights))
            optimizer.apply(gradients)
            averages = decay * averages + (1 - decay) * weights
        """
        images, conditions = images_and_conditions(data, self.network)
        seeds = step_seeds(self.seed, self.step)
        updates = self.step * self.objective.updates_per_step
        steps = self.objective.optimizer_steps(self, images, conditions, seeds)
        for number, step in enumerate(steps):
            losses = self._learn(step, updates + number + 1)
            step.after(losses)
            self._loss_by_timestep.update_state(losses, step.timesteps, step.counts)
        self.step.assign_add(1)
        return as_logs(self.get_metrics_result())

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The loss of the averaged network; every batch has the same draws."""
        images, conditions = images_and_conditions(data, self.network)
        seeds = step_seeds(self.seed, -1)
        for losses, timesteps in self.objective.measured(self, images, conditions, seeds):
            self._loss_by_timestep.update_state(losses, timesteps)
        return as_logs(self._loss_by_timestep.result())

    def _learn(self, step, updates):
        """One step of the optimizer and of the average, the `updates`-th; the losses `[B]`."""

        def scaled_loss(dropout_seed, counts, *batch):
            """(What is minimised: a scalar, scaled as float16 needs it; the losses)."""
            seed_dropout(self.network, dropout_seed)
            losses = step.losses(self.network, *batch)
            return self.optimizer.scale_loss(ops.mean(counts * losses)), losses

        variables, parts = self.network.trainable_variables, self.gradient_accumulation
        batch = tf.broadcast_to(step.counts, tf.shape(step.timesteps)), *step.batch
        gradients, losses = gradients_in_parts(
            scaled_loss, variables, parts, step.dropout_seed, batch
        )
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

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, *args: Any,
        **options: Any,
    ) -> Any:  # fmt: skip
        """As for any Keras model; checks the first images and the labels before it starts."""
        x, size = with_checked_start(x, y, self.network)
        self.batch_size = size if y is None else batch_size or 32  # Keras's own
        if y is None:
            options.setdefault("shuffle", False)  # or Keras warns that it doesn't shuffle batches
        return super().fit(x, y, batch_size, *args, **options)

    def predict(self, x: Any, *args: Any, **options: Any) -> Any:
        """As for any Keras model: the averaged network's predictions of its inputs, as a dict."""
        if not isinstance(x, Mapping | tf.data.Dataset):
            raise ValueError(
                "`predict` takes the inputs of the network as a dict. To make images, call "
                "`model.sample(labels)`"
            )
        return super().predict(x, *args, **options)

    def compile(self, optimizer: Any = "rmsprop", loss: None = None, **options: Any) -> None:
        """As for any Keras model, but for the loss and the metrics, which are the model's own."""
        for name, value in {"loss": loss, **options}.items():
            if name in ("loss", "metrics", "weighted_metrics") and value is not None:
                raise ValueError(f"`{name}` must be None: the `objective` says what is measured")
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
        return prediction_function(self.ema_network)

    def denoiser(self, card: DenoiserCard | None = None) -> NetworkDenoiser:
        """The averaged network as a Denoiser on NumPy arrays; `card` replaces `self.card()`."""
        return numpy_denoiser(card or self.card(), self.prediction_function)

    def card(self, **facts: Any) -> DenoiserCard:
        """The card of the averaged network; `facts` are fields to add or to change."""
        return model_card(self, **facts)

    def sample(self, labels: Asked, seeds: Integers | None = None, **options: Any) -> np.ndarray:
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
            "inputs": {
                name: getattr(self.network, name)
                for name in ATTRIBUTES
                if hasattr(self.network, name)
            },
            "schedule": self.schedule.alphas_cumprod.tolist(),
            "batch_size": self.batch_size,
            "objective": [type(self.objective).__name__, dataclasses.asdict(self.objective)],
            **{name: getattr(self, name) for name in SETTINGS},
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> DiffusionModel:
        config = dict(config)
        network = keras.saving.deserialize_keras_object(config.pop("network"), custom_objects)
        for name, value in config.pop("inputs").items():
            if not hasattr(network, name):
                setattr(network, name, tuple(value) if isinstance(value, list) else value)
        name, settings = config.pop("objective")
        batch_size = config.pop("batch_size")
        kind = keras.saving.get_registered_object(name) or OBJECTIVES[name]
        model = cls(network, objective=kind(**settings), **config)
        model.batch_size = batch_size
        return model


def load_model(
    path: str | os.PathLike, custom_objects: dict[str, Any] | None = None
) -> DiffusionModel:
    """Opens a file that `DiffusionModel.save` wrote, as `keras.saving.load_model` does.

    That one looks for the class where it was imported; kdiffusion's names are only when they are
    used. A network of your own must be imported and registered, or be among the custom objects; an
    objective of your own must be among them.

    Args:
        path: path of the `.keras` file.
        custom_objects: classes and functions by the names that the file knows them by.
    """
    return keras.saving.load_model(path, custom_objects)
