"""The compiled model of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from kdiffusion.diffusion.schedules import make_schedule, options_from_text
from kdiffusion.precision import resolve_policy
from kdiffusion.runs.choices import LEARNING_RATE_SHAPES, NETWORKS, OPTIMIZERS, find
from kdiffusion.runs.config import network_options
from kdiffusion.training import DiffusionModel

if TYPE_CHECKING:
    from kdiffusion.runs.config import Config


def build_model(
    config: Config, image_shape: tuple[int, int, int], num_classes: int, total_steps: int
) -> DiffusionModel:
    """The compiled `DiffusionModel` of a configuration.

    Args:
        config: `Config`.
        image_shape: (height, width, channels).
        num_classes: int.
        total_steps: int. Steps of the whole run, over which the learning rate falls.
    """
    keras.utils.set_random_seed(config.run.seed)  # for the initial weights and dropout
    model, diffusion, optimizer = config.model, config.diffusion, config.optimizer
    network = _network(model, image_shape, num_classes)
    diffusion_model = DiffusionModel(
        network,
        make_schedule(
            diffusion.schedule,
            diffusion.num_timesteps,
            diffusion.zero_terminal_snr,
            **options_from_text(diffusion.schedule_options),
        ),
        prediction_type=diffusion.prediction_type,
        loss_weighting=diffusion.loss_weighting,
        timestep_sampling=diffusion.timestep_sampling,
        log_sigma=(diffusion.log_sigma_mean, diffusion.log_sigma_std),
        learned_weighting=diffusion.learned_weighting,
        label_dropout=diffusion.label_dropout,
        ema_decay=optimizer.ema_decay,
        gradient_clip_norm=optimizer.gradient_clip_norm,
        gradient_accumulation=optimizer.gradient_accumulation,
        rematerialise=optimizer.rematerialise,
        loss_by_class=config.run.loss_by_class,
        seed=config.run.seed,
        # All parts have names of their own. Keras's would count what the process made before, and
        # names order the graph's nodes and so its sums: a resumed run would end otherwise.
        name="diffusion_model",
    )
    shape = find("learning_rate_shape", optimizer.learning_rate_shape, LEARNING_RATE_SHAPES)
    learning_rate = shape(optimizer, total_steps)
    diffusion_model.compile(
        find("optimizer", optimizer.name, OPTIMIZERS)(optimizer, learning_rate),
        steps_per_execution=config.run.steps_per_execution,
    )
    return diffusion_model


def _network(model, image_shape, num_classes):
    fields = {**vars(model)}
    name, policy = fields.pop("network"), fields.pop("dtype_policy")
    del fields["network_options"]
    options = network_options(model)
    make = find("network", name, NETWORKS)
    try:
        return make(image_shape, num_classes, **fields, **options, dtype=resolve_policy(policy))
    except TypeError as error:
        if not options:
            raise
        raise ValueError(
            f"`model.network_options` must be arguments of {name}: {error}. "
            f"Received: {', '.join(model.network_options)}"
        ) from error
