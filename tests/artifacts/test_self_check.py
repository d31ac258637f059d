"""Golden predictions: what is compared, and what is refused."""

import json

import numpy as np
import onnx
import pytest

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.artifacts.integrity import SELF_CHECK_KEY, VALUES, example_inputs, golden_text
from kdiffusion.artifacts.onnx_loader import CARD_KEY
from kdiffusion.export.onnx_writer import save


@pytest.fixture
def checked(toy, card, tmp_path):
    """The toy denoiser with its golden predictions, and what it is made of."""
    model = onnx.load(toy)
    path = tmp_path / "checked.onnx"
    save(model, card, path)
    return path


def texts_of(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_a_file_carries_what_it_predicts(checked, toy, card):
    texts = texts_of(checked)
    assert texts[CARD_KEY] == card.to_json()
    inputs = example_inputs(card)
    prediction = load_denoiser(toy)(*inputs.values())
    assert texts[SELF_CHECK_KEY] == golden_text(prediction, card)
    said = json.loads(texts[SELF_CHECK_KEY])
    golden = said["prediction"]
    assert VALUES // 2 < len(golden) <= VALUES
    assert inputs["timestep"].tolist() == said["timestep"] == [19, 4]
    assert inputs["label"].tolist() == said["label"] == [0, card.null_label]
    assert said["seeds"] == [0, 1]


@pytest.mark.parametrize("error", [3e-3, np.nan, -1.0])
def test_one_that_computes_something_else_is_refused(checked, error):
    golden = json.loads(texts_of(checked)[SELF_CHECK_KEY])["prediction"]
    golden[-1] += error
    load_denoiser(checked)
    model = onnx.load(checked)
    texts = texts_of(checked) | {SELF_CHECK_KEY: json.dumps({"prediction": golden})}
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, checked)
    with pytest.raises(ArtifactError, match=r"checked.onnx.*does not compute what this file"):
        load_denoiser(checked)


def test_the_numbers_are_of_all_that_is_predicted(card):
    """Of both examples and of every row: a kernel may fail for one of them alone."""
    prediction = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    text = golden_text(prediction, card)
    for part in (np.s_[0, :16], np.s_[0, 16:], np.s_[1, :16], np.s_[1, 16:]):
        other = prediction.copy()
        other[part] += 1
        assert golden_text(other, card) != text
