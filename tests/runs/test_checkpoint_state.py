"""What of a checkpoint must fit the model, and what is optional."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.runs.checkpoint_state import UNNAMED_METRICS, CheckpointState
from kdiffusion.runs.checkpoints import Checkpoints
from kdiffusion.runs.sealed import read_sealed, write_sealed
from kdiffusion.training import DiffusionModel
from kdiffusion.training.metrics import StepMean


def _fill(model, number):
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    for variable in [*model.weights, *model.optimizer.variables, *metrics]:
        variable.assign(np.full(variable.shape, number))


@pytest.fixture
def old(tiny_model, tmp_path):
    """The folder of a checkpoint whose every number is 3, and no names of metrics in its record."""
    model = tiny_model()
    _fill(model, 3)
    folder = Checkpoints(model, tmp_path).save()
    record = read_sealed(folder / "record.json")
    assert record.pop("metrics") == list(UNNAMED_METRICS)
    write_sealed(folder / "record.json", record)
    return folder


@pytest.fixture
def with_a_new_metric(tiny_model, monkeypatch):
    """A model of later code: a metric more, before those that there were."""
    metrics = DiffusionModel.metrics.fget
    added = StepMean(name="added")
    monkeypatch.setattr(DiffusionModel, "metrics", property(lambda self: [added, *metrics(self)]))
    return tiny_model()


def test_a_metric_that_is_new_makes_no_old_run_unreadable(old, with_a_new_metric):
    model = with_a_new_metric
    _fill(model, 0)
    checkpoints = Checkpoints(model, old.parent)
    with pytest.warns(UserWarning, match="does not hold added/count, added/total: the results of"):
        assert checkpoints.restore() == 3
    added, *others = model.metrics
    assert [float(variable) for variable in added.variables] == [0, 0]
    rest = [variable for metric in others for variable in metric.variables]
    for variable in [*model.weights, *model.optimizer.variables, *rest]:
        assert np.all(variable.numpy() == 3), variable.path


def test_a_metric_that_is_gone_is_passed_over(tiny_model, with_a_new_metric, tmp_path, monkeypatch):
    _fill(with_a_new_metric, 2)
    Checkpoints(with_a_new_metric, tmp_path).save()
    monkeypatch.undo()
    model = tiny_model()
    Checkpoints(model, tmp_path).restore()
    assert all(np.all(v.numpy() == 2) for metric in model.metrics for v in metric.variables)


def test_drawing_asks_for_no_optimizer(old, tiny_model):
    model = tiny_model()
    model.compile(keras.optimizers.SGD(momentum=0.9))
    checkpoints = Checkpoints(model, old.parent)
    with pytest.raises(ValueError, match=r"step_00000003 is not of this model: optimizer/\d+ must"):
        checkpoints.restore()
    assert int(model.step) == 0
    assert checkpoints.restore(to_draw=True) == 3
    assert all(np.all(variable.numpy() == 3) for variable in model.weights)


@pytest.mark.parametrize("part", ["network", "ema_network"])
def test_a_part_of_another_number_of_variables_is_refused_and_nothing_assigned(
    tiny_model, tmp_path, part
):
    model = tiny_model()
    state = CheckpointState(model)
    parts = {**state._parts, part: [*state._parts[part], tf.Variable(1.0)]}
    tf.train.Checkpoint(**parts).write(str(tmp_path / "state"))
    _fill(model, 5)
    number = len(state._parts[part])
    with pytest.raises(ValueError, match=rf"{part}/{number} must be absent\. Received: float32"):
        state.read(str(tmp_path / "state"), to_draw=True)
    assert all(np.all(variable.numpy() == 5) for variable in model.weights)
