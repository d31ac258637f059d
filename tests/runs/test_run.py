"""A small run for real: trained, watched, stopped, resumed, read back."""

import contextlib
import os
import re
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from kdiffusion.data import load_dataset
from kdiffusion.data.pipeline import training_batches
from kdiffusion.runs import fit as fit_module
from kdiffusion.runs import run_directory
from kdiffusion.runs.build import load_run
from kdiffusion.runs.checkpoints import logs_of
from kdiffusion.runs.interruptions import Preempted
from kdiffusion.runs.run import train
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.training import diffusion_model
from kdiffusion.training.diffusion_model import DiffusionModel
from tests.runs.conftest import tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved_before():
    """What a callback that was made for the run below has found at the end of each epoch."""
    return []


@pytest.fixture(scope="module")
def run(tmp_path_factory, saved_before):
    """One run for most of these tests."""
    config = tiny(
        objective={"label_dropout": 0.0},
        sampling={"guidance_strength": 2.0},
        run={"log_every_steps": 2, "sample_every_epochs": 1},
    )

    def make(config, dataset, directory):
        assert (config.preset, dataset.name, directory.path) == ("digits", "digits", folder)
        assert not directory.checkpoints.exists()
        checkpoints = directory.checkpoints.glob
        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: saved_before.append(max(checkpoints("step_*")).name)
        )

    folder = tmp_path_factory.mktemp("run")
    return train(config, folder, make_callbacks=[lambda *_: None, make])


def _weights(model):
    return [*model.network.get_weights(), *model.ema_network.get_weights()]


def test_whether_a_run_begins_is_decided_when_the_folder_is_its_own(tmp_path, run, monkeypatch):
    """The other process of the same command finished as this one waited."""
    lock = run_directory.lock

    @contextlib.contextmanager
    def locked_late(folder):
        with lock(folder):
            shutil.copytree(run.directory.path, folder, dirs_exist_ok=True)
            yield

    monkeypatch.setattr(run_directory, "lock", locked_late)
    with pytest.raises(FileExistsError, match="already holds"):
        train(tiny(), tmp_path)


def test_a_signal_as_the_run_is_exported_is_told_when_that_is_done(run, tmp_path):
    shutil.copytree(run.directory.path, tmp_path, dirs_exist_ok=True)

    def at_end(run):
        assert run.first_step == run.model.step.numpy() == 12
        with pytest.raises(TimeoutError), run_directory.lock(tmp_path):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        (tmp_path / "exported").touch()

    with pytest.raises(Preempted, match="the run is complete"):
        train(run.directory.config, tmp_path, resume=True, at_end=at_end)
    assert (tmp_path / "exported").exists()


def test_a_run_read_back_is_the_model_that_was_trained(run):
    loaded = load_run(run.directory.path)
    for want, have in zip(_weights(run.model), _weights(loaded.model), strict=True):
        np.testing.assert_array_equal(have, want)
    assert loaded.card == run.card
    assert loaded.card.images_seen == 2 * 6 * 256
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", loaded.directory.commit)
    split = loaded.card.data_split
    digits = load_dataset("digits", seed=split.seed, validation_fraction=split.validation_fraction)
    assert split.sha256 == digits.content_hash()
    assert loaded.card.class_names == tuple("0123456789")


def _events(directory, part):
    path = directory.path / "tensorboard" / part
    return EventAccumulator(str(path), {"tensors": 0}).Reload()


def test_tensorboard_shows_what_a_run_is_watched_by(run):
    events = _events(run.directory, "train")
    tags = set(events.Tags()["tensors"])
    quarters = {f"epoch/loss_t{t}_{t + 249}" for t in (0, 250, 500, 750)}
    assert tags >= {"epoch/loss", "epoch/gradient_norm", "epoch/learning_rate", *quarters}
    assert tags >= {"batch/images_per_second", "batch/loss"}
    assert [event.step for event in events.Tensors("epoch/loss")] == [6, 12]
    samples = _events(run.directory, "samples").Tensors("samples")
    assert [event.step for event in samples] == [6, 12]
    assert [event.step for event in events.Tensors("batch/learning_rate")] == [2, 4, 6, 8, 10, 12]
    assert events.Graph().node
    assert "epoch/loss" in _events(run.directory, "validation").Tags()["tensors"]
    (rate, *_) = events.Tensors("batch/images_per_second")
    assert make_ndarray(rate.tensor_proto) > 0


def test_a_network_that_learnt_nothing_without_a_label_is_not_guided(run):
    assert run.directory.config.sampling.guidance_strength == 2
    assert run.card.guidance_strength == 0


def _spoil_gradients(monkeypatch):
    """Those of the eighth step."""
    apply = diffusion_model.apply_gradients

    def spoil(optimizer, gradients, *others):
        first = tf.where(optimizer.iterations == 7, np.inf, 0.0) + gradients[0]
        return apply(optimizer, [first, *gradients[1:]], *others)

    monkeypatch.setattr(diffusion_model, "apply_gradients", spoil)


def test_the_first_step_that_is_not_finite_stops_with_the_checkpoints_before_it_kept(
    tmp_path, monkeypatch, eagerly
):
    _spoil_gradients(monkeypatch)
    every = {"checkpoint_every_steps": 1, "checkpoint_every_epochs": 100, "checkpoints_to_keep": 9}
    with pytest.raises(FloatingPointError, match=r"step 8\..*--optimizer\.learning-rate"):
        train(tiny(run=every), tmp_path)
    kept = load_run(tmp_path)
    assert kept.card.images_seen == 7 * 256
    assert all(np.all(np.isfinite(weights)) for weights in _weights(kept.model))
    # What is due at the last step of an epoch is saved with the epoch.
    logs = {path.name[-1]: logs_of(path) for path in tmp_path.glob("checkpoints/step_*")}
    assert [step for step in sorted(logs) if "val_loss" in logs[step]] == ["6"]
    assert sorted(logs) == list("1234567")


@pytest.mark.parametrize(
    "sections",
    [
        {"data": {"name": "folder", "directory": "/missing"}},
        {"optimizer": {"batch_size": 5000}},
        {"optimizer": {"gradient_accumulation": 3}},
        {"diffusion": {"schedule_options": ("ofset=0.01",)}},
        {"model": {"network_options": ("wide=1",)}},
        {"sampling": {"steps": 5000}},
        {"sampling": {"guidance_interval": (500.0, 1000.0)}},
        {"model": {"network": "parent"}, "run": {"init_from": "ghost.keras"}},
    ],
)
def test_a_run_that_cannot_begin_replaces_none(run, sections):
    before = sorted(run.directory.path.rglob("*"))
    with pytest.raises((ValueError, FileNotFoundError, TypeError)):
        train(tiny(**sections), run.directory.path, overwrite=True)
    with pytest.raises(FileExistsError, match="already holds"):
        train(tiny(), run.directory.path)
    assert sorted(run.directory.path.rglob("*")) == before


def test_callbacks_are_made_before_anything_changes_and_come_after_the_checkpoint(
    run, saved_before
):
    assert saved_before == ["step_00000006", "step_00000012"]


def test_a_run_that_cannot_sample_as_it_is_to_resume_stays_as_it_was(run):
    before = (run.directory.path / "config.json").read_bytes()
    config = run.directory.config.replace(**{"sampling.steps": 5000, "optimizer.epochs": 3})
    with pytest.raises(ValueError, match="steps"):
        train(config, run.directory.path, resume=True)
    assert (run.directory.path / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("epochs", "validated"),
    [(1, [1]), (40, range(1, 41)), (100, range(2, 101, 2)), (83, [*range(2, 83, 2), 83])],
)
def test_the_last_epoch_is_validated_and_every_so_many_before(epochs, validated):
    config = tiny(optimizer={"epochs": epochs})
    assert fit_module.validated_epochs(config) == list(validated)


def test_a_run_trains_on_the_split_and_the_mirroring_that_were_asked_for(tmp_path, monkeypatch):
    asked = {"validation_fraction": 0.2, "horizontal_flip": True}
    config = tiny(data=asked, run={"seed": 5}, optimizer={"batch_size": 64})
    given = []

    def look(model, batches, **options):
        given.append(next(iter(batches)))
        raise KeyboardInterrupt

    monkeypatch.setattr(DiffusionModel, "fit", look)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path)
    digits = load_dataset("digits", seed=5, validation_fraction=0.2)
    expected = next(iter(training_batches(digits, 64, seed=5, flip=True)))
    for one, other in zip(given[0], expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert RunDirectory.read(tmp_path).mirrored


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training |= int(self.model.step.numpy()) == 8


def test_a_step_that_float16_leaves_out_is_no_fault_and_a_stopped_run_is_saved_where_it_stopped(
    tmp_path, monkeypatch, eagerly
):
    _spoil_gradients(monkeypatch)
    config = tiny(model={"dtype_policy": "mixed_float16"}, run={"checkpoint_every_epochs": 100})
    stopped = train(config, tmp_path, callbacks=[Stop()])
    assert all(np.all(np.isfinite(weights)) for weights in _weights(stopped.model))
    run = RunDirectory.read(tmp_path)
    assert [path.name for path in run.checkpoints.glob("step_*")] == ["step_00000008"]
    assert logs_of(run.checkpoints / "step_00000008") == {}
    # The log has epochs that are whole.
    assert [event.step for event in _events(run, "train").Tensors("epoch/loss")] == [6]
