"""The compiled model of a configuration."""

import keras

from kdiffusion.diffusion.schedules import make_schedule, options_from_text
from kdiffusion.networks import UNet
from kdiffusion.precision import resolve_policy
from kdiffusion.runs.optimizers import OPTIMIZERS, learning_rate
from kdiffusion.training import DiffusionModel


def build_model(config, image_shape, num_classes, total_steps):
    """The compiled `DiffusionModel` of a configuration.

    Args:
        config: `Config`.
        image_shape: (height, width, channels).
        num_classes: int.
        total_steps: int. Steps of the whole run, over which the learning rate falls.
    """
    keras.utils.set_random_seed(config.run.seed)  # for the initial weights and dropout
    model, diffusion, optimizer = config.model, config.diffusion, config.optimizer
    network = UNet(
        image_shape,
        num_classes,
        base_channels=model.base_channels,
        channel_multipliers=model.channel_multipliers,
        blocks_per_level=model.blocks_per_level,
        attention_resolutions=model.attention_resolutions,
        attention_heads=model.attention_heads,
        dropout=model.dropout,
        scale_shift=model.scale_shift,
        patch_size=model.patch_size,
        dtype=resolve_policy(model.dtype_policy),
    )
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
        seed=config.run.seed,
    )
    diffusion_model.compile(
        OPTIMIZERS[optimizer.name](optimizer, learning_rate(optimizer, total_steps)),
        steps_per_execution=config.run.steps_per_execution,
    )
    # Built here, in the strategy's scope, so that a checkpoint finds its variables.
    diffusion_model.optimizer.build(diffusion_model.learnt_variables)
    return diffusion_model
