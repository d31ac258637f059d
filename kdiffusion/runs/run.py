"""Training: `_prepare` a run, begin or `_resume` it in its folder, and `fit` its model."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import keras
import tensorflow as tf

from kdiffusion.data import load_dataset
from kdiffusion.diffusion.conditions import trial_conditions
from kdiffusion.diffusion.sampling import sample
from kdiffusion.runs import run_directory
from kdiffusion.runs.build import Run, build_model
from kdiffusion.runs.checkpoints import all_checkpoints
from kdiffusion.runs.config import STRATEGIES, Config
from kdiffusion.runs.fit import Training, fit
from kdiffusion.runs.interruptions import catching_signals
from kdiffusion.runs.resolve import resolve
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.runs.strategy import Workers, check_batch_size
from kdiffusion.runs.summary import found_lines
from kdiffusion.terminal import say, working


def train(
    config: Config,
    run_dir: str | os.PathLike,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    make_callbacks: Sequence[Callable[..., keras.callbacks.Callback | None]] = (),
    at_end: Callable[[Run], None] | None = None,
) -> Run:
    """Trains a model and writes the run into a folder.

    All that can fail by its settings does so before anything in the folder is changed.

    Args:
        config: `Config`.
        run_dir: path of the run's folder.
        resume: bool. Resume from the newest checkpoint of the run in that folder, to end with the
            very numbers of a run that was never stopped. Where no run is, or one that was stopped
            before its first checkpoint, it begins.
        overwrite: bool. Replace the run in that folder.
        callbacks: more Keras callbacks, for the process that writes the run: the first worker.
        make_callbacks: functions of (config, dataset, `RunDirectory`), each of which makes one more
            or None, before anything in the folder is changed. Theirs come after the checkpoint of
            an epoch: where one fails, no step is lost.
        at_end: function of the `Run`, called by that process while the folder is still its own.

    Returns:
        `Run`.

    Raises:
        FileExistsError: as `run_directory.find`.
        TimeoutError: another process trains in the folder.
        ValueError: settings that the data set, the devices or the sampler don't allow; other data
            or another network than those of the run that is resumed.
        FloatingPointError: the loss or the gradient stopped being a finite number.
        Preempted, StoppedByUser: SIGTERM or Ctrl-C came; the step at which it did is saved.
        WorkerLost: another process of the cluster is gone.
    """
    if resume and overwrite:
        raise ValueError("Only one of `resume` and `overwrite` may be given. Received: both")
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    folder = Path(run_dir)
    strategy = resolve_name(STRATEGIES[config.run.strategy])()
    workers = Workers(strategy)
    own = run_directory.lock(folder) if workers.is_chief else contextlib.nullcontext()
    with workers.reporting_loss(), own:
        before = run_directory.find(folder, resume, overwrite)
        training = _prepare(config, folder, before, strategy, workers, make_callbacks)
        if before is not None:
            _resume(training)
        elif workers.is_chief:
            if resume:
                say(f"There is no run in {folder} yet: this one begins.")
            if overwrite:
                run_directory.clear(folder)
            training.directory.write()
        first_step = int(training.model.step.numpy())
        run = Run(training.model, training.directory, workers.is_chief, first_step)
        with catching_signals() as what_came:
            fit(training, callbacks, what_came)
            if workers.is_chief and at_end is not None:
                at_end(run)
            if (stop := what_came()) is not None:
                raise stop(f"{stop.cause} came after the last step; the run is complete.")
    return run


def _prepare(
    config: Config,
    folder: Path,
    before: RunDirectory | None,
    strategy: tf.distribute.Strategy,
    workers: Workers,
    make_callbacks: Sequence[Callable[..., keras.callbacks.Callback | None]],
) -> Training:
    """Loads the data, builds the model and samples two images; leaves the folder alone.

    Args:
        config: `Config` as it was asked for.
        folder: Path of the run.
        before: `RunDirectory` of the run to resume; None for a new one.
        strategy: `tf.distribute.Strategy`.
        workers: `Workers` of that strategy.
        make_callbacks: as in `train`.
    """
    parent = _read_parent(config) if before is None else None
    with working(f"loading the data set {config.data.name}", line=workers.is_chief):
        dataset = _load_dataset(config)
    config = resolve(config, before, parent, dataset.image_shape)
    flip, steps = config.data.horizontal_flip, dataset.steps_per_epoch(config.optimizer.batch_size)
    total_steps = config.optimizer.epochs * steps
    directory = RunDirectory(
        folder, config, dataset.image_shape, dataset.class_names, len(dataset.images),
        dataset.content_hash(), dataset.horizontal_flip if flip is None else flip,
        parent=(parent and parent.to_dict()) if before is None else before.parent,
        split=dataset.split,
        commit=run_directory.commit_of_checkout() if before is None else before.commit,
        numbers=dataset.numbers, image=dataset.condition_image,
    )  # fmt: skip
    if before is not None:
        run_directory.check_resumable(before, directory)
    check_batch_size(config.optimizer, strategy.num_replicas_in_sync)
    workers.check_agree(_what_must_agree(directory, before))
    sizes = (dataset.image_shape, dataset.num_classes, total_steps)
    with strategy.scope(), working("building the network"):
        model = build_model(config, *sizes, **directory.network_conditions)
    lines = found_lines(model, dataset, config, strategy, total_steps)
    if parent is not None:
        lines += parent.give_to(model, directory.class_names, config.run.init_partial)
    if workers.is_chief:
        say("\n".join(lines))
    with working("sampling two images, to try the settings"):
        _sample_two(model, directory.card(model))
    made = [make(config, dataset, directory) for make in make_callbacks if workers.is_chief]
    return Training(directory, dataset, strategy, workers, model, [*filter(None, made)])


def _resume(training: Training) -> None:
    """Restores the newest whole checkpoint, and writes the settings that it resumes with."""
    step = training.checkpoints.restore()
    if training.workers.is_chief:
        total = training.config.optimizer.epochs * training.steps_per_epoch
        say(f"Resuming from step {step:,} of {total:,}.")
        training.directory.write()


def _sample_two(model, card):
    """The interval of guidance is given as a caller's own: one that no step visits is an error."""
    trial = trial_conditions(card, [0, card.null_label])
    interval: Any = card.guidance_interval
    sample(model.denoiser(card), trial, progress=False, guidance_interval=interval)


def _read_parent(config):
    if config.run.init_from is None:
        return None
    from kdiffusion.runs.initial_weights import read_parent  # and what opens each format

    with working(f"reading {config.run.init_from}"):
        return read_parent(config.run.init_from)


def _load_dataset(config):
    options = vars(config.data) | {"seed": config.run.seed}
    del options["horizontal_flip"], options["condition_noise"]  # which batches have
    return load_dataset(**options)


def _what_must_agree(directory, before):
    """What is the same on all workers, by name."""
    settings = run_directory.flat_settings(directory.config)
    # Each worker may have a copy of its own, and its own way to learn of the cluster.
    own = ("data.directory", "run.strategy")
    newest = None if before is None else all_checkpoints(directory.checkpoints)[0].name
    return {
        **{name: value for name, value in settings.items() if name not in own},
        "data (SHA-256)": directory.data_sha256,
        "weights to start from": directory.parent,
        "checkpoint to resume from, in a folder that all share": newest,
    }
