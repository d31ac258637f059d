"""What `kdiffusion hub` writes: the networks, what README.md says to the Hub and to people."""

import dataclasses
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard import SpaceCard

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.card import Parent
from kdiffusion.networks import named_weights
from kdiffusion.parts.hub import publish as command
from kdiffusion.parts.hub.card import HUB_DATASETS, model_readme
from kdiffusion.parts.hub.publish import FILES, MARK, Facts
from kdiffusion.runs.initial_weights import read_parent

GOLDEN = Path(__file__).parents[2] / "golden" / "denoiser.onnx"
FIGURES = {
    "source": "/home/me/x.onnx",
    "data": "/home/me/digits", "features": "judge", "sampler": {"sampler": "ddim", "steps": 5},
    "images": 600, "frechet_distance": 1.25, "share_as_asked": 0.75,
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "a model"
    (folder.parent / "evaluation.json").write_text(json.dumps(FIGURES))
    (folder.parent / "notes.md").write_text("## Limits\n\nx\n")
    command.main(
        "digits", folder, name="someone/model", license="mit", space=False,
        evaluation=folder.parent / "evaluation.json", notes=folder.parent / "notes.md",
    )  # fmt: skip
    return folder


def _names(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_a_model_gives_all(published):
    others = {"README.md", "evaluation.json", "gallery.png", MARK, "onnx/card.json"}
    assert _names(published) == {*dict(FILES.values()), *others}
    own = read_parent("digits").weights
    of_file = read_parent(published / "denoiser.safetensors").weights
    of_keras = named_weights(keras.saving.load_model(published / "model.keras"))
    assert of_file.keys() == of_keras.keys() == own.keys()
    for name, value in own.items():
        np.testing.assert_array_equal(of_file[name], value)
        np.testing.assert_array_equal(of_keras[name], value)


@pytest.mark.slow
def test_the_hub_s_own_library_reads_the_metadata(published):
    data = ModelCard.load(published / "README.md").data
    assert (data.license, data.library_name, data.model_name) == ("mit", "kdiffusion", "model")
    assert {"onnx", "keras", "diffusion", "class-conditional"} <= set(data.tags)
    assert data.datasets is None  # the digits aren't on the Hub
    results = {each.metric_type: each for each in data.eval_results}
    assert results.keys() == {"frechet_distance", "share_as_asked"}
    distance = results["frechet_distance"]
    assert distance.metric_value == 1.25
    assert distance.metric_name == "Frechet distance (features: judge)"
    assert distance.metric_args == {"images": 600}
    assert distance.dataset_name == "digits"


@pytest.mark.slow
def test_its_text_has_the_notes_and_every_file_and_nothing_of_this_machine(published):
    text = (published / "README.md").read_text(encoding="utf-8")
    assert text.endswith("## Limits\n\nx\n")
    for name, _ in FILES.values():
        assert f"| `{name}` |" in text
    assert 'load_denoiser("hf://someone/model")' in text
    assert "/home/me" not in text + (published / "evaluation.json").read_text(encoding="utf-8")


def test_the_loop_of_the_text_is_that_of_the_specification(card):
    text = model_readme(card, Facts(), {"onnx/model.onnx": 1}, "x").text
    *_, snippet = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    printed = (Path(__file__).parents[3] / "docs" / "spec.md").read_text(encoding="utf-8")
    (loop,) = re.findall(r"```python\n(.*?)```", printed, re.DOTALL)
    assert snippet == loop.replace("denoiser.onnx", "onnx/model.onnx")


@pytest.mark.parametrize("dataset", HUB_DATASETS)
def test_data_set_and_parent_are_named_as_the_hub_names_them(card, dataset):
    parent = Parent(name="hf://a/b@v1/onnx/model.onnx", sha256=64 * "0")
    card = dataclasses.replace(card, dataset=dataset, parent=parent)
    data = ModelCard(str(model_readme(card, Facts(), {"onnx/model.onnx": 1}, "y"))).data
    assert data.datasets == [HUB_DATASETS[dataset]]
    assert data.base_model == "a/b"
    assert data.license is None


@pytest.mark.slow
def test_an_onnx_file_is_published_with_a_page_and_replaced(tmp_path, find_program):
    find_program("npm", "npm, which comes with Node.js")
    out = tmp_path / "out"
    command.main(GOLDEN, out)
    for name in ("onnx/model.onnx", "space/denoiser.onnx"):
        assert (out / name).read_bytes() == GOLDEN.read_bytes()
    assert not (out / "model.keras").exists()
    assert (out / "space" / "index.html").is_file()
    space = SpaceCard.load(out / "space" / "README.md").data
    assert (space.sdk, space.app_file) == ("static", "index.html")
    assert len(space.short_description) <= 60
    with pytest.raises(FileExistsError, match="--overwrite"):
        command.main(GOLDEN, out)
    command.main(GOLDEN, out, overwrite=True, space=False)
    assert not (out / "space").exists()


@pytest.mark.slow
def test_a_model_opens_from_the_hub_and_starts_a_run(stand_in, published):
    files = {name: (published / name).read_bytes() for name in _names(published)}
    stand_in.put("someone/model", files)
    for file in ("onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"):
        assert load_denoiser(f"hf://someone/model/{file}").card == load_denoiser("digits").card
    parent, here = read_parent("hf://someone/model"), read_parent(published)
    assert parent.to_dict() == {"name": "hf://someone/model", "sha256": here.sha256}
    for name, weights in here.weights.items():
        np.testing.assert_array_equal(parent.weights[name], weights)
