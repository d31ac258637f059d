"""An evaluation in training finds what the command finds: here of a denoiser that is known."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import kdiffusion as kd
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.images import to_model_range
from kdiffusion.parts.evaluation.in_training import EvaluationInTraining, make_callback
from tests.diffusion.conftest import knows_x0
from tests.runs.conftest import tiny

NAMES = tuple("0123456789")


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture
def card(make_card):
    return make_card(
        NoiseSchedule(np.linspace(0.99, 0.001, 20)), image_shape=(8, 8, 1), class_names=NAMES,
        null_label=10, prediction_type="x0", steps=2,
    )  # fmt: skip


def _callback(data, epochs, path, judge=None) -> Any:
    evaluation = {"every_epochs": None, "images": 100, "judge": judge}
    config = tiny(optimizer={"epochs": epochs}, evaluation=evaluation)
    return make_callback(config, data, SimpleNamespace(path=path, card=None))


def test_a_network_that_draws_what_is_asked_for_is_told_from_one_that_swaps_classes(
    digits, card, tmp_path
):
    callback = _callback(digits, 1, tmp_path)
    first = [int(np.argmax(digits.labels == label)) for label in range(10)]
    images = to_model_range(digits.images[first])
    right, wrong = (
        callback.figures(knows_x0(card, each), progress=False) for each in (images, images[::-1])
    )
    assert right["share_as_asked"] == 1.0
    # 100 images are too few for a distance of Gaussians and for recall.
    names = {"share_as_asked", "kernel_distance", "grain_levels"}
    assert right.keys() == names | {"structure", "detail"}
    assert wrong["share_as_asked"] == 0.0
    # The images are the same, in another order: so is their distance from the real ones.
    np.testing.assert_allclose(wrong["kernel_distance"], right["kernel_distance"], rtol=0.2)
    assert wrong["structure"] > right["structure"]


@pytest.mark.parametrize(("epochs", "due"), [(150, [36, 74, 112, 150]), (13, [1, 5, 9, 13])])
def test_a_run_is_evaluated_four_times_the_last_epoch_among_them(digits, epochs, due, tmp_path):
    callback = _callback(digits, epochs, tmp_path)
    assert [epoch for epoch in range(1, epochs + 1) if callback.is_due(epoch)] == due


def test_a_folder_which_no_judge_reads_is_not_evaluated(digits, tmp_path, capsys):
    folder = dataclasses.replace(digits, name="folder")
    for data, judge, wanted in ((folder, None, False), (folder, "digits", True)):
        assert (_callback(data, 10, tmp_path, judge) is not None) == wanted
    assert "--evaluation.judge" in capsys.readouterr().out


def test_a_script_has_evaluations_of_its_own(digits, tmp_path):
    network = kd.UNet((8, 8, 1), 10, 4, (1,), 1, ())
    model = kd.DiffusionModel(network, kd.make_schedule("cosine"), prediction_type="v")
    model.compile("sgd", run_eagerly=True)

    def card(model):
        return model.card(class_names=NAMES, steps=2)

    callback = EvaluationInTraining(digits, tmp_path, images=100, every_epochs=2, card=card)
    model.fit(digits.images[:64], digits.labels[:64], epochs=3, verbose=0, callbacks=[callback])
    events = EventAccumulator(str(tmp_path / "tensorboard/evaluation"), {"tensors": 0}).Reload()
    found = events.Tensors("evaluation/kernel_distance")
    assert [event.step for event in found] == [2, 6]
    seen = callback.figures(model.denoiser(card(model)), progress=False)
    last = make_ndarray(found[-1].tensor_proto)
    np.testing.assert_allclose(last, seen["kernel_distance"], rtol=1e-4)


def test_a_run_that_asks_for_no_evaluation_gets_none():
    config = tiny(evaluation={"every_epochs": 0})
    assert make_callback(config, None, SimpleNamespace(config=config)) is None
