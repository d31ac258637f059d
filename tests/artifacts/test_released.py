"""The models that come with the project: whole, what their cards say, and found by name."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from kdiffusion.artifacts import load_denoiser
from kdiffusion.artifacts.released import ARTIFACTS, WEIGHTS, existing, released_models
from kdiffusion.export.formats import FORMATS
from kdiffusion.export.source import read_source
from tests.networks.layer_values import network_inputs

MODELS = released_models()


def test_their_files_are_called_as_exports_call_them():
    assert (FORMATS["onnx_float16"].artifact, FORMATS["onnx_int8"].artifact) == ARTIFACTS
    assert FORMATS["safetensors_float16"].artifact == WEIGHTS


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_what_its_card_for_people_lists(name):
    folder, card = MODELS[name].parent, load_denoiser(name).card
    assert card.dataset in name
    assert card.images_seen > 40_000
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    for needed in ("license:", "tags:", "## Evaluation", "## Limitations"):
        assert needed in text
    files = {path.name: path for path in folder.glob("denoiser*")}
    listed = dict(re.findall(r"`(denoiser.*?)`, .* \| `(\w{64})` \|", text))
    assert listed == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_weights_to_train_on_from_are_those_of_the_file_to_sample_from(name):
    network, card = read_source(name)
    denoiser = load_denoiser(name)
    assert card == denoiser.card
    inputs = network_inputs(card.image_shape)
    predicted = np.asarray(network(inputs, training=False))
    np.testing.assert_allclose(predicted, denoiser(*inputs.values()), atol=1e-2)


def test_a_name_is_the_model_and_a_path_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "x.onnx").touch()
    assert existing("digits") == MODELS["digits"]
    assert existing("digits/x.onnx") == Path("digits/x.onnx")
    assert existing("./digits") == existing(existing("./digits")) == tmp_path / "digits"
