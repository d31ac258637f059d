"""A run that starts from weights: which are taken, and what is refused by name."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from kdiffusion.export.formats import export_network
from kdiffusion.networks import LABEL_TABLE, describe, named_weights
from kdiffusion.runs.build import build_model
from kdiffusion.runs.initial_weights import InitialWeights, read_parent
from kdiffusion.runs.resolve import resolve
from kdiffusion.runs.run import train
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.training.objectives import Trajectory
from tests.runs.conftest import as_it_was, last_checkpoint, tiny

DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def parent_model(tiny_model):
    model, rng = tiny_model(), np.random.default_rng(0)
    for network in (model.network, model.ema_network):
        network.set_weights([rng.standard_normal(w.shape) for w in network.get_weights()])
    return model


@pytest.fixture(scope="module")
def parent(parent_model):
    """The average's weights."""
    weights = {n: np.asarray(v) for n, v in named_weights(parent_model.ema_network).items()}
    described = describe(parent_model.ema_network)
    card = parent_model.card(class_names=DIGITS)
    return InitialWeights(card, weights, *described, path=Path("parent"), name="parent")


def test_rows_of_labels_go_by_the_name_of_the_class(tiny_model, parent):
    child = tiny_model()
    names = ("new", *reversed(DIGITS[1:]))
    lines = parent.give_to(child, names)
    old = parent.weights[LABEL_TABLE]
    want = parent.weights | {LABEL_TABLE: old[[10, *range(9, 0, -1), 10]]}  # new: as no class
    for network in (child.network, child.ema_network):
        np.testing.assert_equal({n: np.asarray(v) for n, v in named_weights(network).items()}, want)
    assert lines[1] == "New classes, which start as no class: new."


def test_what_does_not_fit_is_named_and_only_what_fits_is_taken_if_asked_for(tiny_model, parent):
    deeper = tiny_model(model={"blocks_per_level": 2})
    before = {n: np.asarray(v) for n, v in named_weights(deeper.network).items()}
    with pytest.raises(ValueError, match="down_0_block_1/residual/norm_in/scale"):
        parent.give_to(deeper, DIGITS)
    for name, variable in named_weights(deeper.network).items():
        np.testing.assert_array_equal(variable, before[name])  # nothing was taken
    lines = parent.give_to(deeper, DIGITS, partial=True)
    assert "Not taken: down_0_block_1" in lines[1]
    np.testing.assert_array_equal(
        named_weights(deeper.network)["conv_in/kernel"], parent.weights["conv_in/kernel"]
    )
    nothing = dataclasses.replace(parent, weights={"other": np.zeros(3)})
    with pytest.raises(ValueError, match=r"run\.init_from"):
        nothing.give_to(deeper, DIGITS, partial=True)


def test_a_teacher_must_be_like_its_student(tiny_model, parent):
    teacher = Trajectory(guidance_strength=1.0, timesteps=(999, 499))
    student = tiny_model(objective=teacher, run={"init_from": "digits"})
    others = {
        "class_names": tuple("abcdefghij"), "prediction_type": "x0", "image_shape": (16, 16, 1)
    }  # fmt: skip
    for name, value in others.items():
        other = dataclasses.replace(parent, card=dataclasses.replace(parent.card, **{name: value}))
        with pytest.raises(ValueError, match=rf"run\.init_from.*{name}"):
            other.give_to(student, DIGITS)
    parent.give_to(student, DIGITS)
    np.testing.assert_equal(student.teacher.get_weights(), student.network.get_weights())


@pytest.mark.slow
def test_a_student_says_where_it_started_and_goes_on_exactly_without_its_parent(
    parent_model, parent, tmp_path, capsys, monkeypatch
):
    network, formats = parent_model.ema_network, ("safetensors",)
    source = export_network(network, parent.card, tmp_path / "parent", formats)["safetensors"]

    def child(init_from):
        # With one step the graph is half of two's.
        return tiny(
            run={"init_from": str(init_from), "checkpoint_every_steps": 4},
            model={"network": "parent"}, objective=Trajectory(teacher_steps=2),
            sampling={"timesteps": (999,)}, optimizer={"epochs": 1},
        )  # fmt: skip

    assert read_parent(source).sha256 == parent.sha256  # of the weights, not of the file
    monkeypatch.setattr("kdiffusion.runs.run.build_model", functools.cache(build_model))
    whole = train(child(source), tmp_path / "whole")
    assert f"weights of {source}." in capsys.readouterr().out
    assert whole.card.parent.sha256 == parent.sha256
    as_it_was(tmp_path / "whole", tmp_path / "parts", step=4)
    assert RunDirectory.read(tmp_path / "parts").parent == vars(whole.card.parent)
    source.unlink()
    for variable in whole.model.weights:  # its graph serves again, but what it knew is gone
        variable.assign(np.zeros(variable.shape))
    resumed = train(child(source), tmp_path / "parts", resume=True)
    assert "Resuming from step 4 of 6." in capsys.readouterr().out
    assert resumed.card.parent == whole.card.parent
    assert last_checkpoint(tmp_path / "parts") == last_checkpoint(tmp_path / "whole")
    with pytest.raises(ValueError, match=r"run\.init_from was"):
        train(child("other"), tmp_path / "parts", resume=True)


def test_a_parents_network_is_conditioned_as_the_new_runs_data_are(parent):
    asked = tiny(model={"network": "parent"}, run={"init_from": "other"})
    network = {**parent.network, "numbers": {"age": (40.0, 9.0)}, "image_channels": 2}
    config = resolve(asked, None, dataclasses.replace(parent, network=network), (8, 8, 1))
    own = {"numbers": {"angle": (0.0, 5.0)}, "image_channels": 1}
    child = build_model(config, (8, 8, 1), 10, total_steps=12, **own)
    assert {name: child.network.get_config()[name] for name in own} == own


def test_a_parents_network_keeps_its_attention_for_images_of_another_size(tmp_path):
    asked = tiny(model={"network": "parent"}, run={"init_from": "digits"})
    parent = read_parent("digits")
    assert parent.to_dict()["name"] == "digits"
    config = resolve(asked, None, parent, (12, 16, 1))
    assert tuple(parent.network["attention_resolutions"]) == (4,)
    assert config.model.attention_resolutions == (6,)
    child = build_model(config, (12, 16, 1), 10, total_steps=12)
    count = len(parent.weights)
    assert parent.give_to(child, DIGITS)[0].startswith(f"Starting from {count} of {count}")
