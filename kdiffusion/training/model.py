"""The compiled model of a configuration."""

import keras

from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.models import DiffusionModel, UNet


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
        patch_size=model.patch_size,
        dtype=model.dtype_policy,
    )
    diffusion_model = DiffusionModel(
        network,
        make_schedule(diffusion.schedule, diffusion.num_timesteps, diffusion.zero_terminal_snr),
        prediction_type=diffusion.prediction_type,
        loss_weighting=diffusion.loss_weighting,
        timestep_sampling=diffusion.timestep_sampling,
        label_dropout=diffusion.label_dropout,
        ema_decay=optimizer.ema_decay,
        gradient_clip_norm=optimizer.gradient_clip_norm,
        seed=config.run.seed,
    )
    diffusion_model.compile(
        keras.optimizers.AdamW(
            _learning_rate(optimizer, total_steps),
            weight_decay=optimizer.weight_decay,
            beta_1=optimizer.beta_1,
            beta_2=optimizer.beta_2,
        ),
        steps_per_execution=config.run.steps_per_execution,
    )
    # Built here, in the strategy's scope, so that a checkpoint finds its variables.
    diffusion_model.optimizer.build(network.trainable_variables)
    return diffusion_model


def _learning_rate(optimizer, total_steps):
    """Linear warm-up to the peak, then half a cosine down to the final fraction of it."""
    warmup = min(optimizer.warmup_steps, total_steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else optimizer.learning_rate,
        warmup_target=optimizer.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=total_steps - warmup,
        alpha=optimizer.final_learning_rate_fraction,
    )
