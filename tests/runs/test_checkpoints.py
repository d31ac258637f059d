"""Checkpoints that are whole, found, checked, kept and thrown away."""

import os
import shutil

import keras
import numpy as np
import pytest

from kdiffusion.runs.checkpoints import RECORD, STATE, Checkpoints


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model()


def _every_variable(model):
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [*model.weights, *model.optimizer.variables, *metrics]


def _fill(model, number):
    for variable in _every_variable(model):
        variable.assign(np.full(variable.shape, number))


def _holds(model, number):
    return all(np.all(variable.numpy() == number) for variable in _every_variable(model))


def _save(model, directory, *steps, keep=3, val_losses=()):
    checkpoints = Checkpoints(model, directory, keep)
    for step, val_loss in zip(steps, val_losses or [None] * len(steps), strict=True):
        _fill(model, step)
        checkpoints.save(None if val_loss is None else {"val_loss": val_loss})
    _fill(model, 0)
    return checkpoints


def _names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_are_kept_and_the_best_apart(model, tmp_path):
    losses = [0.5, 0.3, 0.4, float("nan"), 0.3]
    checkpoints = _save(model, tmp_path, 1, 2, 3, 4, 5, keep=2, val_losses=losses)
    assert _names(tmp_path) == ["best", "step_00000004", "step_00000005"]
    assert _names(tmp_path / "best") == ["step_00000002"]
    assert checkpoints.restore() == 5
    assert _holds(model, 5)
    assert checkpoints.restore(best=True) == 2
    assert _holds(model, 2)


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _drop_an_array(path):
    with np.load(path) as state:
        arrays = dict(state)
    del arrays["optimizer/0"]
    np.savez(path, **arrays)


DAMAGES = {
    "a bit": _flip_a_bit,
    "an array": _drop_an_array,
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "gone": os.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_is_named_and_skipped(model, tmp_path, damage):
    checkpoints = _save(model, tmp_path, 1, 2)
    DAMAGES[damage](tmp_path / "step_00000002" / STATE)
    with pytest.warns(UserWarning, match=r"step_00000002 is damaged and was skipped"):
        assert checkpoints.restore() == 1
    assert _holds(model, 1)
    _save(model, tmp_path, 2, keep=1)  # and it does not push out those that follow
    assert _names(tmp_path) == ["step_00000002"]


@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_without_its_results_a_checkpoint_is_restored_but_is_not_the_best(model, tmp_path, damage):
    checkpoints = _save(model, tmp_path, 1, 2, val_losses=[0.2, 0.1])
    shutil.rmtree(tmp_path / "best")
    DAMAGES[damage](tmp_path / "step_00000002" / RECORD)
    assert checkpoints.restore() == 2
    assert checkpoints.restore(best=True) == 1


def test_when_the_newest_are_all_damaged_the_best_is_restored(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, 2, 3, keep=2, val_losses=[0.1, 0.2, 0.3])
    for step in (2, 3):
        _flip_a_bit(tmp_path / f"step_0000000{step}" / STATE)
    with pytest.warns(UserWarning, match="skipped"):
        assert checkpoints.restore() == 1
    assert _holds(model, 1)


def test_what_a_killed_write_left_is_cleared_away_and_what_is_the_users_stays(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, val_losses=[0.5])
    for folder in (tmp_path / "step_00000002.partial", tmp_path / "best/step_00000002.partial"):
        shutil.copytree(tmp_path / "step_00000001", folder)
        (folder / RECORD).unlink()
    shutil.copytree(tmp_path / "step_00000001", tmp_path / "step_00000002_copy")
    (tmp_path / "notes.partial").write_text("mine")
    assert checkpoints.restore() == 1
    _save(model, tmp_path, 3, keep=1)
    assert _names(tmp_path) == ["best", "notes.partial", "step_00000002_copy", "step_00000003"]
    assert _names(tmp_path / "best") == ["step_00000001"]


def test_a_best_that_was_never_copied_is_kept_when_the_run_goes_on(model, tmp_path):
    _save(model, tmp_path, 1, 2, val_losses=[0.5, 0.3])
    shutil.rmtree(tmp_path / "best/step_00000002")  # killed between a checkpoint and its copy
    checkpoints = Checkpoints(model, tmp_path, keep=1)
    assert checkpoints.restore(best=True) == 2
    _save(model, tmp_path, 3, keep=1, val_losses=[0.4])
    assert _names(tmp_path) == ["best", "step_00000003"]
    assert _names(tmp_path / "best") == ["step_00000002"]


def test_sampling_asks_for_no_optimizer_and_training_for_its_own(tiny_model, tmp_path):
    _save(tiny_model(), tmp_path, 3)
    model = tiny_model()
    model.compile(keras.optimizers.SGD(momentum=0.9))
    checkpoints = Checkpoints(model, tmp_path)
    assert checkpoints.restore(to_sample=True) == 3
    assert all(np.all(variable.numpy() == 3) for variable in model.weights)
    with pytest.raises(ValueError, match="shape"):
        checkpoints.restore()
