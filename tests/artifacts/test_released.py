"""The models that come with the project: whole, what their cards say, and found by name."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from kdiffusion.artifacts import load_denoiser, onnx_weights, released_models
from kdiffusion.artifacts.released import ARTIFACTS, resolved
from kdiffusion.commands import sample
from kdiffusion.export import FORMATS
from kdiffusion.runs.initial_weights import read_parent

MODELS = released_models()


def test_the_quickstarts_network_is_among_them():
    assert "digits" in MODELS


def test_their_files_are_called_as_exports_call_them():
    assert (FORMATS["onnx_float16"].ARTIFACT, FORMATS["onnx_int8"].ARTIFACT) == ARTIFACTS


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_one_file(name):
    assert [path.name for path in MODELS[name].parent.glob("*.onnx")] == [MODELS[name].name]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_opens_by_its_name_and_says_what_it_was_trained_on(name):
    card = load_denoiser(name).card
    assert card.dataset in name
    assert card.images_seen > 50_000


@pytest.mark.parametrize("name", [n for n in MODELS if MODELS[n].name == ARTIFACTS[0]])
def test_a_run_can_start_from_a_model_in_16_bits(name):
    stored = onnx_weights.read(MODELS[name])
    assert stored.card == load_denoiser(name).card
    assert sum(value.size for value in stored.weights.values()) > 10_000


@pytest.mark.parametrize("name", [n for n in MODELS if MODELS[n].name == ARTIFACTS[1]])
def test_a_model_in_8_bits_says_that_no_run_starts_from_it(name):
    with pytest.raises(ValueError, match="a released model in 8 bits, which is there to draw from"):
        read_parent(name)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_a_card_for_people_with_the_checksum_of_its_file(name):
    text = MODELS[name].with_name("README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    for needed in ("license:", "tags:", "## Evaluation", "## Known failures"):
        assert needed in text
    assert hashlib.sha256(MODELS[name].read_bytes()).hexdigest() in text


def test_a_name_is_the_model_and_a_path_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert resolved("digits") == MODELS["digits"]
    for path in ("digits/x.onnx", "no_model"):
        assert str(resolved(path)) == str(Path(path))
    assert resolved("./digits") == resolved(resolved("./digits")) == tmp_path / "digits"


def test_a_word_that_is_no_model_lists_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no_model does not exist.*by name: .*digits"):
        load_denoiser("no_model")


def test_the_command_draws_the_digits_that_were_asked_for(tmp_path):
    """As the nearest real digits read them."""
    sample.main(Path("digits"), out=tmp_path / "x.png", npz=tmp_path / "x.npz", per_label=4)
    drawn = np.load(tmp_path / "x.npz")
    real = load_digits()
    reader = KNeighborsClassifier(5).fit(real.data * 255 / 16, real.target)
    read = reader.predict(drawn["images"].reshape(40, 64))
    assert np.mean(read == drawn["labels"]) > 0.9
