"""Checkpoints that are whole, found, checked, kept and thrown away."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.files import sha256_of
from kdiffusion.runs.checkpoints import Checkpoints
from kdiffusion.runs.sealed import write_sealed


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model()


def _fill(model, number):
    for variable in [*model.weights, *model.optimizer.variables]:
        variable.assign(np.full(variable.shape, number))


def _holds(model, number):
    every = [*model.network.weights, *model.ema_network.weights, *model.optimizer.variables]
    return all(np.all(variable.numpy() == number) for variable in every)


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


DAMAGES = {
    "a bit": _flip_a_bit,
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "gone": os.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["record.json", "state.index", "state.data-00000-of-00001"])
def test_a_damaged_newest_is_named_and_skipped(model, tmp_path, name, damage):
    checkpoints = _save(model, tmp_path, 1, 2)
    DAMAGES[damage](tmp_path / "step_00000002" / name)
    with pytest.warns(UserWarning, match=r"step_00000002 is damaged: .*skipped"):
        assert checkpoints.restore() == 1
    assert _holds(model, 1)


def test_a_folder_without_its_files_is_damaged(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1)
    (tmp_path / "step_00000002").mkdir()
    with pytest.warns(UserWarning, match="step_00000002 is damaged"):
        assert checkpoints.restore() == 1


@pytest.mark.parametrize(
    "record",
    [
        {"step": 2, "logs": None, "files": []},
        {"step": 2, "logs": None, "files": {}},
        {"logs": None, "files": {}},
        {"step": "2", "logs": None, "files": {}},
    ],
)
def test_a_record_that_does_not_tell_what_it_must_is_damage(model, tmp_path, record):
    checkpoints = _save(model, tmp_path, 1, 2)
    write_sealed(tmp_path / "step_00000002/record.json", record)
    with pytest.warns(UserWarning, match=r"step_00000002 is damaged: record\.json must tell"):
        assert checkpoints.restore() == 1


def test_a_validation_loss_that_is_no_number_makes_no_best(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, 2)
    logs = {"val_loss": "low"}
    write_sealed(tmp_path / "step_00000002/record.json", {"step": 2, "logs": logs, "files": {}})
    checkpoints.keep_best()
    assert not (tmp_path / "best/step_00000002").exists()


def test_a_whole_checkpoint_of_something_else_is_refused(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1)
    folder = tmp_path / "step_00000001"
    for file in folder.iterdir():
        file.unlink()
    tf.train.Checkpoint(network=tf.Variable(1.0), stranger=tf.Variable("code")).write(
        str(folder / "state")
    )
    files = {file.name: sha256_of(file) for file in folder.iterdir()}
    write_sealed(folder / "record.json", {"step": 1, "logs": None, "files": files})
    with pytest.raises(ValueError, match="step_00000001 is not of this model"):
        checkpoints.restore()


def test_what_is_the_users_is_no_checkpoint(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1)
    shutil.copytree(tmp_path / "step_00000001", tmp_path / "step_00000002_copy")
    for name in ("notes.partial", "step_00000099"):
        (tmp_path / name).write_text("mine")
    assert checkpoints.restore() == 1
    _save(model, tmp_path, 3, 4, keep=1)
    names = ["notes.partial", "step_00000002_copy", "step_00000004", "step_00000099"]
    assert _names(tmp_path) == names


def test_a_record_that_is_nested_without_end_is_damage(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, 2)
    (tmp_path / "step_00000002/record.json").write_text("[" * 200_000)
    with pytest.warns(UserWarning, match="step_00000002 is damaged"):
        assert checkpoints.restore() == 1


def test_a_damaged_best_is_replaced_by_the_same_step(model, tmp_path):
    _save(model, tmp_path, 1, val_losses=[0.1])
    _flip_a_bit(tmp_path / "best/step_00000001/state.index")
    with pytest.warns(UserWarning, match="best checkpoint so far is replaced"):
        checkpoints = _save(model, tmp_path, 1, val_losses=[0.1])
    assert checkpoints.restore(best=True) == 1


def test_when_all_are_damaged_each_is_named(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, 2)
    for step in (1, 2):
        _flip_a_bit(tmp_path / f"step_0000000{step}/state.index")
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(ValueError, match=r"No checkpoint .* can be used: .*00000002.*00000001"),
    ):
        checkpoints.restore()


def test_when_the_newest_are_all_damaged_the_best_is_gone_back_to(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, 2, 3, keep=2, val_losses=[0.1, 0.2, 0.3])
    for step in (2, 3):
        _flip_a_bit(tmp_path / f"step_0000000{step}/state.index")
    with pytest.warns(UserWarning, match="skipped"):
        assert checkpoints.restore() == 1
    assert _holds(model, 1)


def test_without_a_checkpoint_there_is_nothing_to_restore(model, tmp_path):
    checkpoints = Checkpoints(model, tmp_path)
    assert not checkpoints.any
    with pytest.raises(FileNotFoundError, match="must hold a checkpoint"):
        checkpoints.restore()


def test_what_a_killed_write_left_is_ignored_and_cleared_away(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, val_losses=[0.5])
    left = [tmp_path / "step_00000002.partial", tmp_path / "best/step_00000002.partial"]
    for folder in left:
        shutil.copytree(tmp_path / "step_00000001", folder)
        (folder / "record.json").unlink()
    assert checkpoints.restore() == 1
    assert all(folder.exists() for folder in left)  # a reader leaves a writer's folder alone
    _save(model, tmp_path, 3)
    assert _names(tmp_path) == ["best", "step_00000001", "step_00000003"]
    assert _names(tmp_path / "best") == ["step_00000001"]


def test_a_damaged_newest_does_not_push_out_those_that_follow(model, tmp_path):
    checkpoints = _save(model, tmp_path, 1, 5, keep=2)
    _flip_a_bit(tmp_path / "step_00000005/record.json")
    with pytest.warns(UserWarning, match="step_00000005 is damaged"):
        checkpoints.restore()
    _save(model, tmp_path, 2, 3, keep=1)
    assert _names(tmp_path) == ["step_00000003"]


def test_the_last_good_one_stays_while_the_loss_is_out_of_its_band(model, tmp_path):
    checkpoints = Checkpoints(model, tmp_path, keep=1)
    for step in range(1, 7):
        checkpoints.band.update(step, 0.1 if step < 4 else 9.0)
        _fill(model, step)
        checkpoints.save()
    # The weights of step 2 served step 3; those of step 3 gave step 4 its loss.
    assert _names(tmp_path) == ["step_00000002", "step_00000006"]
    seen = []
    resumed = Checkpoints(model, tmp_path, 1, after_change=lambda: seen.append(_names(tmp_path)))
    assert resumed.restore() == 6
    assert resumed.band.left_at == 4
    good = resumed.last_good(7)
    assert good == tmp_path / "step_00000002"
    resumed.go_back_to(good)
    assert _names(tmp_path / "diverged") == ["step_00000006"]
    assert seen == [["diverged", "step_00000002"]]
    assert resumed.restore() == 2
    assert resumed.band.left_at is None
    _fill(model, 6)
    resumed.save()
    assert not list((tmp_path / "diverged").iterdir())


def test_a_damaged_best_is_replaced(model, tmp_path):
    _save(model, tmp_path, 1, val_losses=[0.1])
    _flip_a_bit(tmp_path / "best/step_00000001/record.json")
    shutil.rmtree(tmp_path / "step_00000001")
    with pytest.warns(UserWarning, match="best checkpoint so far is replaced"):
        _save(model, tmp_path, 2, val_losses=[0.2])
    assert _names(tmp_path / "best") == ["step_00000002"]


def test_a_best_that_was_never_copied_is_kept_when_the_run_goes_on(model, tmp_path):
    _save(model, tmp_path, 1, 2, val_losses=[0.5, 0.3])
    shutil.rmtree(tmp_path / "best/step_00000002")  # killed between a checkpoint and its copy
    checkpoints = Checkpoints(model, tmp_path, keep=1)
    assert checkpoints.restore(best=True) == 2
    assert not list(tmp_path.glob("best/*"))  # a reader writes nothing
    _fill(model, 3)
    checkpoints.save({"val_loss": 0.4})
    assert _names(tmp_path) == ["best", "step_00000003"]
    assert _names(tmp_path / "best") == ["step_00000002"]


def test_a_best_whose_copying_was_killed_is_copied_when_the_run_goes_on(model, tmp_path):
    _save(model, tmp_path, 2, val_losses=[0.5])
    shutil.move(tmp_path / "best/step_00000002", tmp_path / "best/step_00000002.partial")
    (tmp_path / "best/step_00000002.partial/record.json").unlink()
    Checkpoints(model, tmp_path).keep_best()
    assert _names(tmp_path / "best") == ["step_00000002"]
    assert Checkpoints(model, tmp_path).restore(best=True) == 2


def test_of_two_that_a_kill_left_as_best_the_lower_is_kept(model, tmp_path):
    _save(model, tmp_path, 1, 2, val_losses=[0.3, 0.5])
    shutil.copytree(tmp_path / "step_00000002", tmp_path / "best/step_00000002")
    checkpoints = _save(model, tmp_path, 3, keep=1, val_losses=[0.4])
    assert _names(tmp_path / "best") == ["step_00000001"]
    assert checkpoints.restore(best=True) == 1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_every_number_that_a_step_changes_is_held(tiny_model, tmp_path, policy):
    """float16: the moments of AdamW lie behind the optimizer that scales the loss."""
    model = tiny_model(model={"dtype_policy": policy})
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    every = [*model.weights, *model.optimizer.variables, *metrics]
    assert sum("momentum" in variable.path for variable in every) == len(
        model.network.trainable_variables
    )
    for number, variable in enumerate(every):
        variable.assign(np.full(variable.shape, number))
    checkpoints = Checkpoints(model, tmp_path)
    checkpoints.save()
    for variable in every:
        variable.assign(np.full(variable.shape, -1))
    checkpoints.restore()
    for number, variable in enumerate(every):
        assert np.all(variable.numpy() == number), variable.path


def test_what_the_drawing_of_timesteps_has_learnt_is_kept(tiny_model, tmp_path):
    model = tiny_model(diffusion={"timestep_sampling": "loss_second_moment"})
    learnt = np.arange(1000, dtype="float32")
    model.timestep_sampler.average.assign(learnt)
    model.timestep_sampler.seen.assign(2 * learnt)
    checkpoints = Checkpoints(model, tmp_path)
    checkpoints.save()
    for variable in model.timestep_sampler.variables:
        variable.assign(np.zeros(1000))
    checkpoints.restore()
    np.testing.assert_array_equal(model.timestep_sampler.average, learnt)
    np.testing.assert_array_equal(model.timestep_sampler.seen, 2 * learnt)


def test_what_the_weighting_of_noise_levels_has_learnt_is_kept(tiny_model, tmp_path):
    model = tiny_model(diffusion={"learned_weighting": True})
    model.loss_uncertainty.bias.assign(0.5)
    checkpoints = Checkpoints(model, tmp_path)
    checkpoints.save()
    model.loss_uncertainty.bias.assign(0.0)
    checkpoints.restore()
    assert float(model.loss_uncertainty.bias.numpy()) == 0.5
