"""A training run from its configuration: data, strategy, model, `fit`; and a finished run again."""

from dataclasses import dataclass
from pathlib import Path

import keras

from kdiffusion.card import DenoiserCard
from kdiffusion.data import load_dataset, validation_batches
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.models import DiffusionModel, UNet
from kdiffusion.training import run_directory
from kdiffusion.training.callbacks import Monitor, SaveCheckpoint, StopAtNonFiniteLoss
from kdiffusion.training.checkpoints import Checkpoints
from kdiffusion.training.run_directory import RunDirectory
from kdiffusion.training.strategy import distributed_batches, is_chief, make_strategy


@dataclass(frozen=True)
class LoadedRun:
    """A run in memory: its `model`, the model's `card`, its `directory`.

    `is_chief` tells whether this process writes what all workers share.
    """

    model: DiffusionModel
    card: DenoiserCard
    directory: RunDirectory
    is_chief: bool = True


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


def train(config, run_dir, resume=False, overwrite=False):
    """Trains a model and leaves it, with all that tells of it, in a folder.

    Args:
        config: `Config`.
        run_dir: path of the run's folder.
        resume: bool. Go on from the newest checkpoint of the run in that folder.
        overwrite: bool. Replace the run in that folder.

    Returns:
        `LoadedRun`.

    Raises:
        FileExistsError: the folder holds a run, and neither `resume` nor `overwrite` is given.
        FileNotFoundError: `resume`, and the folder holds no run or no checkpoint.
        ValueError: settings that the data set or the devices can't serve, or that contradict the
            run that is resumed.
        FloatingPointError: the loss stopped being a number.
    """
    strategy = make_strategy(config.run.strategy)
    chief = is_chief(strategy)
    if resume:
        run_directory.check_resumable(RunDirectory.read(run_dir).config, config)
    elif chief:
        run_directory.prepare(run_dir, overwrite)
    dataset = load_dataset(
        config.data.name,
        directory=config.data.directory,
        image_size=config.data.image_size,
        validation_fraction=config.data.validation_fraction,
        seed=config.run.seed,
    )
    batch_size = config.optimizer.batch_size
    steps_per_epoch = dataset.steps_per_epoch(batch_size)
    with strategy.scope():
        model = build_model(
            config,
            dataset.image_shape,
            dataset.num_classes,
            total_steps=config.optimizer.epochs * steps_per_epoch,
        )
    directory = RunDirectory(Path(run_dir), config, dataset.image_shape, dataset.class_names)
    if chief:
        directory.write()
    checkpoints = Checkpoints(model, directory.checkpoints, config.run.checkpoints_to_keep)
    step = checkpoints.restore() if resume else 0
    batches = distributed_batches(
        strategy,
        dataset,
        batch_size,
        seed=config.run.seed,
        first_step=step,
        flip=config.data.horizontal_flip,
    )
    callbacks = [StopAtNonFiniteLoss()]
    if chief:
        # Every worker holds the same weights; one writes what all share.
        callbacks.append(Monitor(directory, make_card(model, directory)))
        # Last: what an epoch leaves is whole before the checkpoint that says it is done.
        callbacks.append(SaveCheckpoint(checkpoints, config))
    model.fit(
        batches,
        steps_per_epoch=steps_per_epoch,
        initial_epoch=step // steps_per_epoch,
        epochs=config.optimizer.epochs,
        validation_data=validation_batches(dataset, batch_size),
        callbacks=callbacks,
        shuffle=False,  # The batches are.
    )
    return LoadedRun(model, make_card(model, directory), directory, chief)


def load_run(run_dir, best=False):
    """A run's model as its newest checkpoint left it, for export and evaluation.

    Args:
        run_dir: path of the run's folder.
        best: bool. Take the checkpoint of the lowest validation loss instead.

    Raises:
        FileNotFoundError: no run there, or none of its checkpoints was written yet.
        ValueError: its config.json or all of its checkpoints are damaged.
    """
    directory = RunDirectory.read(run_dir)
    model = build_model(
        directory.config, directory.image_shape, len(directory.class_names), total_steps=1
    )
    Checkpoints(model, directory.checkpoints).restore(best)
    return LoadedRun(model, make_card(model, directory), directory)


def make_card(model, directory):
    """The card of a run's model: what its exported file will say of itself."""
    config = directory.config
    return model.card(
        class_names=directory.class_names,
        dataset=config.data.name,
        preset=config.preset,
        images_seen=int(model.step.numpy()) * config.optimizer.batch_size,
        sampler=config.sampling.sampler,
        steps=config.sampling.steps,
        guidance_strength=config.sampling.guidance_strength,
    )
