"""A training run from its configuration: data, strategy, model, `fit`."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from kdiffusion.data import load_dataset, validation_batches
from kdiffusion.precision import resolve_policy
from kdiffusion.runs import event_log, history, remote_run, run_directory
from kdiffusion.runs.build import build_model
from kdiffusion.runs.callbacks import Monitor, StopAtNonFinite
from kdiffusion.runs.checkpoints import Checkpoints, any_checkpoint
from kdiffusion.runs.config import epochs_between
from kdiffusion.runs.initial_weights import read_parent, start_from
from kdiffusion.runs.interruptions import catching_signals
from kdiffusion.runs.network_options import with_network_of
from kdiffusion.runs.progress import EpochLines
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.runs.saving import ContinueEpoch, SaveCheckpoint
from kdiffusion.runs.strategy import distributed_batches, make_strategy
from kdiffusion.runs.summary import found_lines
from kdiffusion.runs.trained_run import Run, make_card
from kdiffusion.runs.workers import Workers
from kdiffusion.terminal import say, working

if TYPE_CHECKING:
    import keras

    from kdiffusion.runs.config import Config

EVALUATION = "kdiffusion.evaluation.in_training"  # a part: imported where it is asked for
_BEGINS_AGAIN = "The run has no checkpoint yet, so it begins again"


def train(
    config: Config,
    run_dir: str | os.PathLike,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Trains a model and writes the run into a folder.

    Args:
        config: `Config`.
        run_dir: path of the run's folder, or its URL in an object store, as `s3://bucket/run`.
        resume: bool. Go on from the newest checkpoint of the run in that folder, to end with the
            very numbers of a run that was never stopped. Without a run there, it begins.
        overwrite: bool. Replace the run in that folder.
        callbacks: more Keras callbacks, for the process that writes the run: the first worker.

    Returns:
        `Run`.

    Raises:
        FileExistsError: the folder holds a run, and neither `resume` nor `overwrite` is given; or
            files that no run wrote.
        BlockingIOError: another process trains in the folder.
        ValueError: settings that the data set or the devices can't serve, or that contradict the
            run that is resumed; a run all of whose checkpoints are damaged; weights to start from
            that don't fit.
        FloatingPointError: the loss or the gradient stopped being a finite number.
        MemoryError: a step doesn't fit into that of the device; says what takes less.
        Preempted: SIGTERM came; the step at which it did is saved.
        StoppedByUser: Ctrl-C came; likewise.
        WorkerLost: another process of the cluster is gone.
    """
    if resume and overwrite:
        raise ValueError("Only one of `resume` and `overwrite` may be given. Received: both")
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(config.run.strategy)
    workers = Workers(strategy)
    remote = remote_run.opened(run_dir, writes=workers.is_chief)
    if remote is None:
        return _begin(config, Path(run_dir), None, strategy, workers, resume, overwrite, callbacks)
    with remote.named():
        run = _begin(
            config, remote.folder, remote, strategy, workers, resume, overwrite, callbacks
        )  # fmt: skip
        if workers.is_chief:
            with working(f"sending the run to {remote.url}", line=True):
                remote.send()
        return run


def _begin(config, run_dir, remote, strategy, workers, resume, overwrite, callbacks):
    """`train` in a folder of this machine, which `remote` sends to where the run is."""
    resume = resume and run_directory.holds_run(run_dir)
    before = RunDirectory.read(run_dir) if resume else None
    if before is not None:
        config = run_directory.as_begun(config, before)
    config = _with_policy(config)
    with workers.reporting_loss():
        # Before one finds its settings wrong for the folder, and another doesn't.
        workers.check_agree(_what_must_agree(config))
    if before is not None:
        run_directory.check_resumable(before.config, config)
        if remote is not None:
            words = f"downloading {remote.url}"
            with working(words, line=workers.is_chief), workers.reporting_loss():
                remote.fetch(workers.any if workers.several else None)
    elif workers.is_chief:
        run_directory.check_free(run_dir, overwrite)
        if remote is not None:
            remote.check_free()
    parent = None
    # A run that was killed before its first checkpoint still has to begin.
    if config.run.init_from is not None and not (before and any_checkpoint(before.checkpoints)):
        with working(f"reading {config.run.init_from}"), _told_why_it_is_needed(before):
            parent = read_parent(config.run.init_from)
    with working(f"loading the data set {config.data.name}", line=workers.is_chief):
        dataset = _load_dataset(config)
    if before is None:
        config = with_network_of(config, parent, dataset.image_shape)
    flip = config.data.horizontal_flip
    directory = RunDirectory(
        run_dir, config, dataset.image_shape, dataset.class_names, len(dataset.images),
        dataset.content_hash(), dataset.horizontal_flip if flip is None else flip,
        parent=parent and parent.to_dict(),
    )  # fmt: skip
    if before is not None:
        run_directory.check_same_data(before, directory)
        _check_same_parent(before.parent, directory.parent)
        directory = replace(directory, parent=before.parent)
    steps_per_epoch = dataset.steps_per_epoch(config.optimizer.batch_size)
    _check_steps_per_execution(config, steps_per_epoch)
    total_steps = config.optimizer.epochs * steps_per_epoch
    lock = run_directory.locked(directory.path) if workers.is_chief else contextlib.nullcontext()
    with workers.reporting_loss():
        with strategy.scope(), working("building the network"):
            model = build_model(config, dataset.image_shape, dataset.num_classes, total_steps)
            started = _start_from(model, parent, directory)
        if workers.is_chief:
            say("\n".join([*found_lines(model, dataset, config, strategy), *started]))
            if remote is not None:
                say(f"  copy here   {remote.folder}")
        with lock as held:
            directory = _train(
                model, strategy, workers, dataset, directory, before, remote, callbacks
            )  # fmt: skip
    return Run(model, make_card(model, directory), directory, workers.is_chief, remote, held)


def _start_from(model, parent, directory):
    if parent is None:
        return []
    lines = start_from(model, parent, directory.class_names, directory.config.run.init_partial)
    return [*lines, *_seen_by(parent.card, directory)]


def _seen_by(card, directory):
    """What is known of whether a parent was trained on images that are held out here, in a line."""
    if card is None or card.data_split is None or card.dataset != directory.config.data.name:
        return []
    split, config = card.data_split, directory.config
    if split.sha256 in (None, directory.data_sha256):
        return []
    why = "its data of that name were not these"
    if (split.seed, split.validation_fraction) != (
        config.run.seed, config.data.validation_fraction,
    ):  # fmt: skip
        why = (
            f"its data were split by --run.seed {split.seed} --data.validation-fraction "
            f"{split.validation_fraction:g}"
        )
    return [f"It may have seen images that are held out here: {why}."]


def _train(model, strategy, workers, dataset, directory, before, remote, own_callbacks):
    """Trains the model of a run that may begin, or go on where it was before, in its folder.

    Returns:
        `RunDirectory`: the one given, with the history of what holds from which step on.
    """
    config = directory.config
    steps_per_epoch = dataset.steps_per_epoch(config.optimizer.batch_size)
    after_change = (lambda: None) if remote is None else remote.send_checkpoint
    checkpoints = Checkpoints(
        model, directory.checkpoints, config.run.checkpoints_to_keep, after_change
    )  # fmt: skip
    step = checkpoints.restore() if before is not None and checkpoints.any else 0
    workers.check_agree(
        {
            "data (SHA-256)": directory.data_sha256,
            "mirroring of images": directory.mirrored,
            "weights to start from": directory.parent,
            "step to go on from, in a folder that all share": step,
        }
    )
    _check_first_step(config, step, steps_per_epoch)
    if workers.is_chief and before is not None:
        say(f"Going on from step {step:,} of {config.optimizer.epochs * steps_per_epoch:,}.")
    directory = _with_history(directory, before, step, workers)
    lines = EpochLines(config, steps_per_epoch)
    callbacks = [StopAtNonFinite(checkpoints, steps_per_epoch, workers.is_chief), lines]
    if workers.is_chief:
        # First: it refuses what a new run's folder should not be cleared for.
        evaluation = _evaluation(config, dataset, directory)
        lines.evaluation = evaluation
        if before is not None:
            checkpoints.keep_best()
        else:
            # Not before all that can be wrong with the new run was checked.
            run_directory.clear(directory.path)
        directory.write()
        if remote is not None:
            remote.claim(begins=before is None)
        monitor = _monitor(model, directory, before, step, steps_per_epoch)
        callbacks += [monitor, *filter(None, [evaluation]), *own_callbacks]
    closing = contextlib.closing
    with catching_signals() as what_came, closing(lines), closing(checkpoints):
        # Last: what an epoch leaves is whole before the checkpoint that says it is done.
        callbacks.append(SaveCheckpoint(checkpoints, config, steps_per_epoch, what_came, workers))
        with _telling_what_saves_memory():
            _fit(model, strategy, dataset, config, step, callbacks)
        checkpoints.wait()
        stop = what_came()
        if stop is not None:
            raise stop(f"{stop.cause} came after the last step; the run is whole.")
    return directory


@contextlib.contextmanager
def _telling_what_saves_memory():
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if "OOM" not in error.message and "of memory" not in error.message:
            raise  # TensorFlow says the same of a full disk
        said = [line for line in error.message.splitlines() if "memory" in line or "OOM" in line]
        raise MemoryError(
            "what is computed at once does not fit. `--optimizer.gradient-accumulation N` computes "
            "a training step in N parts, `--optimizer.rematerialise` keeps less of it, "
            "`--run.sample-per-label` draws fewer images for a grid; a run can go on with any of "
            f"them. TensorFlow said: {said[0]}"
        ) from error


def _evaluation(config, dataset, directory):
    """The callback that evaluates the network now and then; None where that isn't wanted."""
    if config.evaluation.every_epochs == 0:
        return None
    part = importlib.import_module(EVALUATION)
    return part.make_callback(config, dataset, directory)


def _monitor(model, directory, before, step, steps_per_epoch):
    """What writes TensorBoard's log, when what the run went back behind is out of it."""
    epoch, config = step // steps_per_epoch, directory.config
    axis = event_log.Axis(config.run.x_axis, config.optimizer.batch_size)
    has_graph, *_ = (
        event_log.trim(directory.tensorboard / part, step, epoch, axis)
        for part in ("train", "validation", "evaluation")
    )
    has_config = has_graph and before is not None and before.config == directory.config
    card = make_card(model, directory)
    return Monitor(directory, card, steps_per_epoch, has_config, has_graph)


def _with_history(directory, before, step, workers):
    """The directory with what holds from this step on; the first worker says what is new."""
    past, changed = (), {}
    if before is not None:
        past, changed = before.history, history.changed_settings(before.config, directory.config)
    extended = history.extended(past, changed, step, history.versions())
    if workers.is_chief and before is not None:
        for line in history.said_of(extended, past):
            say(line)
    return replace(directory, history=extended)


def _with_policy(config):
    """The configuration with the dtype policy that `"auto"` means here."""
    if config.model.dtype_policy != "auto":
        return config
    return replace(config, model=replace(config.model, dtype_policy=resolve_policy("auto")))


@contextlib.contextmanager
def _told_why_it_is_needed(before):
    try:
        yield
    except FileNotFoundError as error:
        if before is None:
            raise
        raise FileNotFoundError(f"{_BEGINS_AGAIN}: {error}") from error


def _check_same_parent(before, now):
    """Refuses other weights to begin with than those that a run was to begin with."""
    if now is not None and before is not None and now["sha256"] != before["sha256"]:
        raise ValueError(
            f"{_BEGINS_AGAIN}, and `run.init_from` must be what it was: SHA-256 "
            f"{before['sha256']}. Or begin anew by --overwrite. Received: {now['name']}, SHA-256 "
            f"{now['sha256']}"
        )


def _what_must_agree(config):
    """The settings that make a run, and what computes it, by name."""
    settings = history.flat_settings(config)
    # Each worker may have a copy of its own, and its own way to have been told of the cluster.
    own = ("data.directory", "run.strategy")
    settings = {name: value for name, value in settings.items() if name not in own}
    return settings | {f"version of {name}": each for name, each in history.versions().items()}


def _load_dataset(config):
    return load_dataset(
        config.data.name,
        directory=config.data.directory,
        image_size=config.data.image_size,
        validation_fraction=config.data.validation_fraction,
        seed=config.run.seed,
    )


def _fit(model, strategy, dataset, config, step, callbacks):
    """`model.fit` from any step on: first the rest of a broken epoch, then whole ones."""
    batch_size, epochs = config.optimizer.batch_size, config.optimizer.epochs
    steps_per_epoch = dataset.steps_per_epoch(batch_size)
    validation, validation_steps = _validation(strategy, dataset, config)

    def fit(step, steps, epochs, callbacks):
        options = {"seed": config.run.seed, "flip": config.data.horizontal_flip}
        model.fit(
            distributed_batches(strategy, dataset, batch_size, first_step=step, **options),
            steps_per_epoch=steps,
            initial_epoch=step // steps_per_epoch,
            epochs=epochs,
            validation_data=validation,
            validation_steps=validation_steps,
            validation_freq=validated_epochs(config),
            callbacks=callbacks,
            verbose=0,  # EpochLines says what there is to say.
            shuffle=False,  # The batches are.
        )

    epoch, done = divmod(step, steps_per_epoch)
    if done and epoch < epochs:
        epoch += 1
        fit(step, steps_per_epoch - done, epoch, [ContinueEpoch(model), *callbacks])
        if model.stop_training:  # the next `fit` would forget it
            return
    fit(epoch * steps_per_epoch, steps_per_epoch, epochs, callbacks)


def _validation(strategy, dataset, config):
    """The validation batches, and how many are one pass; None where they end by themselves.

    An iterator begun for each epoch would leave 0.1 MiB behind each time, so one goes round and
    round, where it can: replicas divide a batch that is not full in a way of their own.
    """
    batches = validation_batches(dataset, config.optimizer.batch_size)
    steps = int(batches.cardinality())
    if strategy.num_replicas_in_sync > 1 or steps % config.run.steps_per_execution:
        return batches, None
    return batches.repeat(), steps


def validated_epochs(config: Config) -> list[int]:
    """Numbers of the epochs, from 1, after which the validation loss is measured.

    A validation at each of many short epochs would cost more than a twentieth of the run.
    """
    epochs, settings = config.optimizer.epochs, config.run
    every = epochs_between(settings.validate_every_epochs, epochs)
    saved = epochs_between(settings.checkpoint_every_epochs, epochs)
    return [
        epoch
        for epoch in range(1, epochs + 1)
        if epoch % every == 0 or epoch % saved == 0 or epoch == epochs
    ]


def _check_steps_per_execution(config, steps_per_epoch):
    # Keras would run the last call of an epoch in full, into the next epoch's batches.
    if steps_per_epoch % config.run.steps_per_execution:
        raise ValueError(
            f"`run.steps_per_execution` must divide the {steps_per_epoch} steps of an epoch. "
            f"Received: {config.run.steps_per_execution}"
        )


def _check_first_step(config, step, steps_per_epoch):
    if step % config.run.steps_per_execution:
        raise ValueError(
            f"`run.steps_per_execution` must divide the step to go on from, {step}. "
            f"Received: {config.run.steps_per_execution}"
        )
    if step > config.optimizer.epochs * steps_per_epoch:
        raise ValueError(
            f"`optimizer.epochs` must be at least {-(-step // steps_per_epoch)}, the epoch of the "
            f"step that the run is at, {step}. Received: {config.optimizer.epochs}"
        )
