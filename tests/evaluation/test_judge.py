"""A judge opens whole or not at all, says what it was made of, and reads by its own network."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from kdiffusion import onnx_session
from kdiffusion.evaluation import judge as room
from kdiffusion.evaluation.judge import (
    CARD_KEY,
    JudgeCard,
    JudgeError,
    find_judge,
    judge_names,
    load_judge,
    seal_judge,
)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 4, 6, 1), np.uint8)


def test_it_reads_what_its_network_computes(judge_file, judge_card, images, monkeypatch):
    judge = load_judge(judge_file)
    assert judge.card == dataclasses.replace(judge_card, sha256=judge.card.sha256)
    halves = np.stack([images[:, :2].mean(axis=(1, 2, 3)), images[:, 2:].mean(axis=(1, 2, 3))], 1)
    np.testing.assert_allclose(judge.features(images), halves, rtol=1e-5)
    np.testing.assert_allclose(judge.logits(images)[:, 1], halves.sum(axis=1), rtol=1e-5)
    whole = judge.read(images)
    monkeypatch.setattr(onnx_session, "BATCH_SIZE", 3)
    for pieces, at_once in zip(judge.read(images), whole, strict=True):
        np.testing.assert_allclose(pieces, at_once, rtol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4, 1), (4, 6, 3)])
def test_images_of_another_shape_are_refused(judge_file, shape):
    with pytest.raises(JudgeError, match=r"uint8 \[N, 4, 6, 1\]"):
        load_judge(judge_file).logits(np.zeros((2, *shape), np.uint8))
    with pytest.raises(JudgeError, match="float64"):
        load_judge(judge_file).logits(np.zeros((2, 4, 6, 1)))


def test_a_judge_that_cannot_read_what_its_card_says_is_named(judge_file, judge_card, images):
    model = onnx.load(judge_file)
    for dimension in model.graph.input[0].type.tensor_type.shape.dim:
        dimension.dim_param = "any"  # so that it opens
    (flat,) = (each for each in model.graph.initializer if each.name == "flat")
    flat.CopyFrom(onnx.numpy_helper.from_array(np.array([5, -1]), "flat"))
    onnx.helper.set_model_props(model, {CARD_KEY: judge_card.to_json()})
    onnx.save(model, judge_file)
    seal_judge(judge_file)
    with pytest.raises(JudgeError, match=r"toy\.onnx must read images of its card's shape"):
        load_judge(judge_file).read(images)


def test_a_changed_byte_is_refused_wherever_it_is(judge_file):
    content = judge_file.read_bytes()
    for place in np.linspace(0, len(content) - 1, 40).astype(int):
        spoilt = bytearray(content)
        spoilt[place] ^= 1
        judge_file.write_bytes(spoilt)
        with pytest.raises(JudgeError):
            load_judge(judge_file)
    judge_file.write_bytes(content)
    assert load_judge(judge_file).card.sha256 in content.decode("latin-1")
    with pytest.raises(JudgeError, match="place for its seal"):
        seal_judge(judge_file)


def test_what_is_no_judge_is_refused(judge_file, tmp_path):
    model = onnx.load(judge_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "cardless.onnx")
    with pytest.raises(JudgeError, match="no card"):
        load_judge(tmp_path / "cardless.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(JudgeError, match="cannot be read"):
        load_judge(tmp_path / "text.onnx")
    with pytest.raises(JudgeError, match="Received: judge='nowhere'"):
        load_judge("nowhere")


def test_the_card_comes_back_from_its_text_and_newer_fields_are_passed_over(judge_card):
    assert JudgeCard.from_json(judge_card.to_json()) == judge_card
    newer = {**json.loads(judge_card.to_json()), "colour": "red"}
    assert JudgeCard.from_json(json.dumps(newer)) == judge_card


@pytest.mark.parametrize(
    "change",
    [{"class_names": ["one"]}, {"image_shape": [4, 6]}, {"accuracy": {"clean": 94.0}}],
)
def test_a_card_that_contradicts_itself_is_refused(judge_card, change):
    with pytest.raises(JudgeError, match=next(iter(change))):
        JudgeCard.from_json(json.dumps({**json.loads(judge_card.to_json()), **change}))
    with pytest.raises(JudgeError, match="cannot be used"):
        JudgeCard.from_json("[]")


def test_the_judge_of_a_data_set_is_found_by_what_it_reads(judge_file, judge_card, monkeypatch):
    monkeypatch.setattr(room, "JUDGES", judge_file.parent)
    assert judge_names() == ["toy"]
    assert find_judge("toy", judge_card.image_shape, judge_card.class_names) == "toy"
    assert find_judge("toy", (8, 8, 1), judge_card.class_names) is None
    assert find_judge("other", judge_card.image_shape, judge_card.class_names) is None
    assert load_judge("toy").card.class_names == ("dark", "bright")


@pytest.mark.parametrize("name", judge_names())
def test_those_that_come_with_the_package_open_and_read_some_image(name):
    judge = load_judge(name)
    logits, features = judge.read(np.zeros((2, *judge.card.image_shape), np.uint8))
    assert logits.shape == (2, len(judge.card.class_names))
    assert features.ndim == 2
    assert np.all(np.isfinite(logits))
    assert judge.card.sha256 != room.UNSEALED
