"""DiffusionModel: the training step of DDPM (Ho et al. 2020, algorithm 1) as a `keras.Model`."""

from __future__ import annotations

import functools
import reprlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kdiffusion.checks import check_name, check_whole
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.prediction import check_prediction_type, from_x0_and_eps
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.forward_process import NoiseSchedule, q_sample
from kdiffusion.diffusion.weighting import LOSS_WEIGHTINGS, loss_weights
from kdiffusion.networks.forms import REMATERIALISED, choose_forms
from kdiffusion.training.batches import BATCH_RANGE, ChecksBatches, images_and_labels
from kdiffusion.training.ema import averaged_copy, update_average
from kdiffusion.training.loss_uncertainty import LossUncertainty
from kdiffusion.training.metrics import LossByClass, LossByTimestep, StepMean
from kdiffusion.training.network_check import check_network
from kdiffusion.training.step_seeds import (
    DROPOUT,
    LABELS,
    NOISE,
    TIMESTEPS,
    fold_in,
    seed_dropout,
    step_seeds,
)
from kdiffusion.training.timesteps import (
    LossSecondMoment,
    ShuffledTimesteps,
    make_timestep_sampler,
)

if TYPE_CHECKING:
    from kdiffusion.diffusion.arguments import Integers, Labels


@keras.saving.register_keras_serializable("kdiffusion")
class DiffusionModel(ChecksBatches, keras.Model):
    """A denoiser under training, and the moving average of its weights, which is what is used.

    `fit`, `evaluate`, `save` and `keras.saving.load_model` work as for any Keras model; the data
    are batches of (float32 images `[B, H, W, C]` in [-1, 1], int labels `[B]`); uint8 images and
    labels `[B, 1]`, as of `keras.datasets`, are converted. The loss is the model's own. All
    random numbers derive from (`seed`, `step`, the replica), so that a step can be repeated. `step`
    counts the batches trained on. A batch counts even if float16's loss scaling skipped its update.

    Args:
        network: `UNet`, or any Keras model with its inputs, output, `image_shape` and
            `num_classes`.
        schedule: `NoiseSchedule`, or a sequence: its alphas_cumprod.
        prediction_type: what the network predicts: `"epsilon"`, `"x0"` or `"v"`.
        loss_weighting: `"simple"` (every timestep alike, DDPM), `"min_snr"` (Hang et al. 2023) or
            `"edm"` (Karras et al. 2022): see `loss_weights`.
        timestep_sampling: `"stratified"`, one t from each of B equal parts of the schedule,
            `"uniform"`, B independent ones, `"log_normal"`, noise levels by a density (Karras et
            al. 2022), or `"loss_second_moment"`, more of those whose loss is large (Nichol &
            Dhariwal 2021): see `timesteps.py`.
        log_sigma: (mean, std) of ln sigma under `"log_normal"`. Defaults to `(-0.4, 1.0)`, those
            of Karras et al. 2024.
        learned_weighting: bool. Whether each noise level is also weighted by a learnt estimate of
            its loss (Karras et al. 2024): see `LossUncertainty`. Defaults to `False`.
        label_dropout: float in [0, 1]. Chance that an example's label is replaced by the null
            label, for classifier-free guidance (Ho & Salimans 2022). Defaults to `0.1`.
        ema_decay: float in [0, 1). Decay per step of the moving average; it warms up as
            min(ema_decay, (1 + step) / (10 + step)). Defaults to DDPM's `0.9999`.
        gradient_clip_norm: float above 0, or None. Largest global norm of a gradient. Defaults to
            `1.0`.
        rematerialise: bool. Whether blocks of the network that can are computed again for the
            gradient (Chen et al. 2016): the same gradient, in less memory and more time.
            Defaults to `False`.
        gradient_accumulation: int. Parts in which a replica's batch is computed, one after another:
            the same gradient, and memory for one part. Defaults to `1`.
        seed: int of 32 bits. Defaults to `0`.
        loss_by_class: bool. Whether validation gives the loss of each class too. Defaults to
            `False`.

    Raises:
        ValueError: a value outside those given here.
    """

    def __init__(
        self,
        network: keras.Model,
        schedule: NoiseSchedule | Sequence[float],
        prediction_type: str = "epsilon",
        loss_weighting: str = "simple",
        timestep_sampling: str = "stratified",
        log_sigma: tuple[float, float] = (-0.4, 1.0),
        learned_weighting: bool = False,
        label_dropout: float = 0.1,
        ema_decay: float = 0.9999,
        gradient_clip_norm: float | None = 1.0,
        gradient_accumulation: int = 1,
        rematerialise: bool = False,
        seed: int = 0,
        loss_by_class: bool = False,
        **kwargs: Any,
    ):
        check_network(network)
        # The network's policy, so that `compile` scales the loss where float16 needs it.
        kwargs.setdefault("dtype", network.get_config().get("dtype"))
        super().__init__(**kwargs)
        if not 0 <= label_dropout <= 1:
            raise ValueError(
                f"`label_dropout` must be in [0, 1]. Received: label_dropout={label_dropout}"
            )
        if not 0 <= ema_decay < 1:
            raise ValueError(f"`ema_decay` must be in [0, 1). Received: ema_decay={ema_decay}")
        if gradient_clip_norm is not None and not gradient_clip_norm > 0:
            raise ValueError(
                "`gradient_clip_norm` must be above 0, or None. "
                f"Received: gradient_clip_norm={gradient_clip_norm}"
            )
        if isinstance(schedule, str):
            raise ValueError(
                "`schedule` must be a NoiseSchedule, such as make_schedule('cosine'), or its "
                f"alphas_cumprod. Received: schedule={schedule!r}"
            )
        if not isinstance(schedule, NoiseSchedule):
            schedule = NoiseSchedule(np.asarray(schedule))
        check_prediction_type(prediction_type, schedule)
        check_name("loss_weighting", loss_weighting, LOSS_WEIGHTINGS)
        self.network = network
        self.ema_network = averaged_copy(network)
        self.schedule = schedule
        self.prediction_type = prediction_type
        self.loss_weighting = loss_weighting
        self.timestep_sampling = timestep_sampling
        self.label_dropout = label_dropout
        self.ema_decay = ema_decay
        self.gradient_clip_norm = gradient_clip_norm
        self.gradient_accumulation = check_whole("gradient_accumulation", gradient_accumulation)
        self.rematerialise = rematerialise
        if rematerialise:
            choose_forms(network, REMATERIALISED)
        self.seed = check_whole("seed", seed, -(2**31), 2**31 - 1)
        self.timestep_sampler = make_timestep_sampler(timestep_sampling, schedule, log_sigma)
        self.log_sigma = tuple(log_sigma)
        self.loss_uncertainty = LossUncertainty(schedule) if learned_weighting else None
        self._alphas_cumprod = schedule.alphas_cumprod.astype("float32")
        self._loss_weights = loss_weights(schedule, prediction_type, loss_weighting).astype(
            "float32"
        )
        if schedule.ends_in_pure_noise and (
            timestep_sampling == "log_normal" or self._loss_weights[-1] == 0
        ):
            warnings.warn(
                "Pure noise, the schedule's last timestep, is never learnt from: "
                f"`timestep_sampling` {timestep_sampling} and `loss_weighting` {loss_weighting} "
                "give it no share of the loss. Sampling begins there.",
                stacklevel=2,
            )
        self.step = self.add_weight((), "zeros", dtype="int64", trainable=False, name="step")
        self._loss_by_timestep = LossByTimestep(schedule.num_timesteps)
        self._gradient_norm = StepMean(name="gradient_norm")
        self.loss_by_class = loss_by_class
        self._loss_by_class = LossByClass(network.num_classes) if loss_by_class else None
        self.built = True  # Both networks are.

    def compile(self, optimizer: Any = "rmsprop", loss: None = None, **options: Any) -> None:
        """As of any Keras model, but for its losses and metrics, which are the model's own.

        Raises:
            ValueError: `loss`, `loss_weights`, `metrics` or `weighted_metrics` is given.
        """
        names = ("loss_weights", "metrics", "weighted_metrics")
        not_used = {"loss": loss, **{name: options.get(name) for name in names}}
        given = [name for name, value in not_used.items() if value is not None]
        if given:
            raise ValueError(
                f"`{given[0]}` must be None: the loss is that of diffusion, the squared error of "
                "the prediction, and it is what is measured. Choose it by `prediction_type` and "
                f"`loss_weighting`. Received: {given[0]}={not_used[given[0]]!r}"
            )
        super().compile(optimizer, **options)
        # In the first step, variables would be made in its graph, which then is traced once more.
        if self.optimizer is not None:  # None serves a model that is only evaluated
            self.optimizer.build(self.learnt_variables)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was; Keras asks for it where `compile` is overridden."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """The prediction of the averaged weights: what is sampled, evaluated and exported."""
        return self.ema_network(inputs, training=False)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing to build: under a strategy Keras would call the model on a batch to find out."""

    @property
    def metrics(self) -> list[keras.Metric]:
        by_class = [self._loss_by_class] if self.loss_by_class else []
        return [self._loss_by_timestep, self._gradient_norm, *by_class]

    @property
    def loss_second_moment(self) -> LossSecondMoment | None:
        """The sampler `"loss_second_moment"`, or None. Saved files hold it under this name."""
        sampler = self.timestep_sampler
        return sampler if isinstance(sampler, LossSecondMoment) else None

    @property
    def learnt_variables(self) -> list[keras.Variable]:
        """What the optimizer moves: the live network, and the estimate of the loss, if any."""
        weighting = [] if self.loss_uncertainty is None else self.loss_uncertainty.variables
        return self.network.trainable_variables + weighting

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
            labels: int `[B]`, null labels included.
            timesteps: int `[B]`.
            noise: float32, as `images`.
            training: bool. Whether dropout acts.

        Returns:
            float32 `[B]`.
        """
        alphas_cumprod = ops.take(self._alphas_cumprod, timesteps)[:, None, None, None]
        noisy = q_sample(images, noise, alphas_cumprod)
        target = from_x0_and_eps(images, noise, alphas_cumprod, self.prediction_type)
        prediction = network(
            {"noisy_image": noisy, "timestep": timesteps, "label": labels}, training=training
        )
        errors = ops.mean(ops.square(target - ops.cast(prediction, "float32")), axis=(1, 2, 3))
        return errors * ops.take(self._loss_weights, timesteps)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Algorithm 1: noise a batch, predict, follow the gradient; then move the average."""
        images, labels, numbers = images_and_labels(data, self.network)
        timesteps, noise, dropped = self._draw(images, self.step)
        importance = self.timestep_sampler.importance(timesteps)
        conditions = tf.where(dropped, self.network.num_classes, labels)
        dropout_seed = step_seeds(self.seed, self.step)[DROPOUT]
        gradients, losses = self._gradients_in_parts(
            dropout_seed, images, conditions, timesteps, noise, importance
        )
        gradient_norm = self._apply_gradients(gradients, self.learnt_variables)
        self.step.assign_add(1)
        update_average(self.ema_network, self.network, self.ema_decay, self.step)
        self.timestep_sampler.update(losses, timesteps)
        self._loss_by_timestep.update_state(losses, timesteps, importance)
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        # float16's scale is found by going too far: such a step is left out, and is no fault.
        counts = ops.isfinite(gradient_norm) if scaled else True
        self._gradient_norm.update_state(gradient_norm, counts)
        return self._logs([self._loss_by_timestep, self._gradient_norm], numbers)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The loss of the averaged network. Every batch, of every epoch, meets the same draws."""
        images, labels, numbers = images_and_labels(data, self.network)
        timesteps, noise, _ = self._draw(images, -1, self._validation_timesteps)
        losses = self.diffusion_losses(
            self.ema_network, images, labels, timesteps, noise, training=False
        )
        self._loss_by_timestep.update_state(losses, timesteps)
        metrics = [self._loss_by_timestep]
        if self._loss_by_class is not None:
            self._loss_by_class.update_state(losses, labels)
            metrics.append(self._loss_by_class)
        return self._logs(metrics, numbers)

    @functools.cached_property
    def _validation_timesteps(self):
        """Uniform under every way of drawing them in training: validation losses compare.

        Stratified, too: all batches meet the same draws, whose chance would never average out.
        """
        return ShuffledTimesteps(self.schedule)

    def _draw(self, images, step, timestep_sampler=None):
        """What chance decides of a batch: timesteps, noise, and whose label is dropped."""
        seeds = step_seeds(self.seed, step)
        timestep_sampler = timestep_sampler or self.timestep_sampler
        timesteps = timestep_sampler.draw(tf.shape(images)[0], seeds[TIMESTEPS])
        noise = tf.random.stateless_normal(tf.shape(images), seeds[NOISE])
        uniform = tf.random.stateless_uniform(tf.shape(images)[:1], seeds[LABELS])
        return timesteps, noise, uniform < self.label_dropout

    def _gradients_in_parts(self, dropout_seed, *batch):
        """(gradients, losses `[B]`) of a batch, computed in as many parts as were asked for."""
        parts = self.gradient_accumulation
        if parts == 1:
            seed_dropout(self.network, dropout_seed)
            return self._gradients(*batch)
        size = batch[0].shape[0]
        if size is None or size % parts:
            raise ValueError(
                "`gradient_accumulation` must divide the batch of each device, whose size must be "
                f"fixed. Received: gradient_accumulation={parts}, a batch of {size}"
            )
        batch = [tf.broadcast_to(each, [size, *each.shape[1:]]) for each in batch]
        batch = [tf.reshape(each, [parts, size // parts, *each.shape[1:]]) for each in batch]

        def add_part(index, sums, losses):
            seed_dropout(self.network, fold_in(dropout_seed, index))
            gradients, part_losses = self._gradients(*(each[index] for each in batch))
            sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
            return index + 1, sums, losses.write(index, part_losses)

        # A loop, which holds what one part needs; the parts side by side would hold it for all.
        _, sums, losses = tf.while_loop(
            lambda index, *_: index < parts,
            add_part,
            (0, [tf.zeros(each.shape) for each in self.learnt_variables],
             tf.TensorArray(tf.float32, parts, element_shape=[size // parts])),
            parallel_iterations=1,
        )  # fmt: skip
        return [total / parts for total in sums], losses.concat()

    def _gradients(self, images, conditions, timesteps, noise, importance):
        """(gradients, losses `[B]`): of the mean objective, scaled as float16 needs it."""
        with tf.GradientTape() as tape:
            losses = self.diffusion_losses(
                self.network, images, conditions, timesteps, noise, training=True
            )
            objective = losses
            if self.loss_uncertainty is not None:
                objective = self.loss_uncertainty.weighted(losses, timesteps)
            loss = self.optimizer.scale_loss(ops.mean(importance * objective))
        variables = self.learnt_variables
        if not variables:
            raise ValueError(
                "`network` must have weights to train. Received: none; is its `trainable` False?"
            )
        gradients = tape.gradient(loss, variables)
        unreached = [
            variable.path
            for variable, gradient in zip(variables, gradients, strict=True)
            if gradient is None
        ]
        if unreached:
            warnings.warn(
                f"The loss does not depend on these weights, so they are not trained: {unreached}",
                stacklevel=2,
            )
        # Dense: the rows of an embedding's sparse gradient repeat, and their norm is not its norm.
        return [
            tf.zeros(variable.shape) if gradient is None else tf.convert_to_tensor(gradient)
            for variable, gradient in zip(variables, gradients, strict=True)
        ], losses

    def _apply_gradients(self, gradients, variables):
        """Averages over replicas, clips, updates; returns the norm before clipping."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            # Before clipping: a norm of one replica's share is not the norm of the gradient.
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        loss_scale = self.optimizer.scale_loss(ops.ones(()))
        norm = tf.linalg.global_norm(gradients) / loss_scale
        # The optimizer sums over replicas once more; they all hold the same average by now.
        factor = 1.0 / replicas
        if self.gradient_clip_norm is not None:
            factor *= tf.minimum(1.0, self.gradient_clip_norm / (norm + 1e-12))
        self.optimizer.apply_gradients(
            zip([gradient * factor for gradient in gradients], variables, strict=True)
        )
        return norm

    def _logs(self, metrics, numbers):
        logs = {BATCH_RANGE: numbers}
        for metric in metrics:
            result = metric.result()
            logs.update(result if isinstance(result, dict) else {metric.name: result})
        strategy = tf.distribute.get_strategy()
        several_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if several_workers and strategy.num_replicas_in_sync > 1:
            # There Keras averages logs over their first axis, which scalars lack (keras#20585).
            logs = {name: value[None] for name, value in logs.items()}
        return logs

    @functools.cached_property
    def prediction_function(self) -> Callable[..., tf.Tensor]:
        """The averaged network as a `tf.function` of the Denoiser's inputs, for any batch.

        One for the model's life: TensorFlow never lets go of all that another one would trace.
        """
        signature = [
            tf.TensorSpec([None, *self.network.image_shape], tf.float32, "noisy_image"),
            tf.TensorSpec([None], tf.int32, "timestep"),
            tf.TensorSpec([None], tf.int32, "label"),
        ]

        @tf.function(input_signature=signature)
        def predict(noisy_image, timestep, label):
            return self({"noisy_image": noisy_image, "timestep": timestep, "label": label})

        return predict

    def denoiser(self, card: DenoiserCard | None = None) -> NetworkDenoiser:
        """The averaged network as a Denoiser, on NumPy arrays.

        Args:
            card: `DenoiserCard`, such as that of a run; None for `self.card()`.
        """
        predict = self.prediction_function

        def network(noisy_images, timesteps, labels):
            return predict(
                tf.constant(noisy_images, tf.float32),
                tf.constant(timesteps, tf.int32),
                tf.constant(labels, tf.int32),
            ).numpy()

        return NetworkDenoiser(self.card() if card is None else card, network)

    def export(self, filepath: str, format: str = "tf_saved_model", **options: Any) -> None:
        """Keras's own export, of the averaged network: a file without a card.

        `kdiffusion.export_network` writes what the sampling loop reads.
        """
        self.ema_network.export(filepath, format, **options)

    def card(self, **facts: Any) -> DenoiserCard:
        """The `DenoiserCard` of the averaged network.

        Args:
            **facts: fields of the card that the model does not know, or knows otherwise:
                `class_names`, `dataset`, `preset`, `images_seen`, and the recommended `sampler`,
                `steps`, `guidance_strength` and `guidance_interval`.

        Raises:
            ValueError: more or fewer `class_names` than classes, or what `DenoiserCard` refuses.
        """
        num_classes = self.network.num_classes
        names = facts.get("class_names")
        if names is not None and len(names) != num_classes:
            raise ValueError(
                f"`class_names` must be {num_classes}, one for each class of the network. "
                f"Received: {len(names)}, class_names={reprlib.repr(names)}"
            )
        defaults = {
            "image_shape": self.network.image_shape,
            "class_names": tuple(str(label) for label in range(num_classes)),
            "null_label": num_classes,
            "prediction_type": self.prediction_type,
            "alphas_cumprod": tuple(self.schedule.alphas_cumprod.tolist()),
            "dataset": "unknown",
            "preset": "none",
            "images_seen": 0,
            "ema_decay": self.ema_decay,
            # The best of SAMPLERS at 20 evaluations: docs/results/sampling_cifar10_small.md.
            "sampler": "unipc",
            "steps": min(20, self.schedule.num_timesteps),
            # Guidance leans on predictions without a label, which are learnt by dropping labels.
            "guidance_strength": 1.0 if self.label_dropout else 0.0,
        }
        return DenoiserCard(**{**defaults, **facts})

    def sample(self, labels: Labels, seeds: Integers | None = None, **options: Any) -> np.ndarray:
        """Draws images with the averaged network, by the same loop that runs an exported file.

        Args:
            labels: classes `[N]`, by number or name, or one for all.
            seeds: int `[N]`: one image, one seed.
            **options: the other arguments of `kdiffusion.sample`.

        Returns:
            float32 `[N, H, W, C]` in [-1, 1].
        """
        return sample(self.denoiser(), labels, seeds, **options)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            # Not every network has them in a configuration of its own.
            "image_shape": list(self.network.image_shape),
            "num_classes": self.network.num_classes,
            # By their places: layers of one's own may have names that count up in a process.
            "frozen_layers": [
                place for place, each in enumerate(self.network.layers) if not each.trainable
            ],
            "schedule": self.schedule.alphas_cumprod.tolist(),
            "prediction_type": self.prediction_type,
            "loss_weighting": self.loss_weighting,
            "timestep_sampling": self.timestep_sampling,
            "log_sigma": self.log_sigma,
            "learned_weighting": self.loss_uncertainty is not None,
            "label_dropout": self.label_dropout,
            "ema_decay": self.ema_decay,
            "gradient_clip_norm": self.gradient_clip_norm,
            "gradient_accumulation": self.gradient_accumulation,
            "rematerialise": self.rematerialise,
            "seed": self.seed,
            "loss_by_class": self.loss_by_class,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> DiffusionModel:
        config = dict(config)
        network = keras.saving.deserialize_keras_object(config.pop("network"), custom_objects)
        for name, read in (("image_shape", tuple), ("num_classes", int)):
            value = config.pop(name, None)  # files of earlier versions lack them
            if value is not None and not hasattr(network, name):
                setattr(network, name, read(value))
        for place in config.pop("frozen_layers", ()):
            network.layers[place].trainable = False
        return cls(network, **config)
