"""What `kdiffusion hub` writes: the networks, what README.md says to the Hub and to people."""

import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard import SpaceCard
from PIL import Image

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.commands import hub, hub_card, hub_folder
from kdiffusion.commands.hub_card import DATASETS, Facts, metadata, model_readme
from kdiffusion.diffusion.card import Parent
from kdiffusion.diffusion.sampling import sample
from kdiffusion.evaluation.evaluation import FORMAT_VERSION, KEYS
from kdiffusion.export import export_run
from kdiffusion.runs.initial_weights import read_parent

RUN = Path(__file__).parents[1] / "golden" / "run"
FIGURES = {
    **dict.fromkeys(KEYS), "format_version": FORMAT_VERSION, "source": "/home/me/x.onnx",
    "data": "/home/me/digits", "features": "judge", "sampler": {"sampler": "ddim", "steps": 5},
    "real": None, "network": None, "images": 600, "frechet_distance": 1.25,
    "share_as_asked": 0.75, "share_as_asked_standard_error": 0.02,
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The files that `export` writes of the golden run."""
    out = tmp_path_factory.mktemp("exported")
    return export_run(RUN, ("onnx", "onnx_float16", "onnx_int8", "safetensors"), out)


@pytest.fixture(scope="module")
def of_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "of run"
    (folder.parent / "evaluation.json").write_text(json.dumps(FIGURES))
    (folder.parent / "notes.md").write_text("## Limits\n\nx\n")
    hub.main(
        RUN, folder, name="someone/model", license="mit", per_label=2, space=False,
        evaluation=folder.parent / "evaluation.json", notes=folder.parent / "notes.md",
    )  # fmt: skip
    return folder


def _names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.slow
def test_a_run_gives_all(of_run, exported):
    assert _names(of_run) == [
        "README.md", "evaluation.json", "gallery.png", hub_folder.MARK, "model.keras",
        "onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx",
    ]  # fmt: skip
    for name, file in hub_folder.NAMES.items():
        assert (of_run / file).read_bytes() == exported[name].read_bytes()


@pytest.mark.slow
def test_the_keras_file_holds_the_averaged_weights(of_run, exported):
    of_file, of_export = read_parent(of_run / "model.keras"), read_parent(exported["safetensors"])
    assert of_file.weights.keys() == of_export.weights.keys()
    for name, value in of_file.weights.items():
        np.testing.assert_array_equal(value, of_export.weights[name])


@pytest.mark.parametrize("own", ["onnx", "onnx_float16"])
@pytest.mark.slow
def test_an_onnx_file_gives_all_but_the_keras_file(tmp_path, exported, own):
    hub_folder.write_hub_folder(exported[own], tmp_path / "out", per_label=1, space=False)
    files = [name for name in _names(tmp_path / "out") if name.startswith(("onnx", "model"))]
    assert files == sorted(hub_folder.NAMES.values())
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "`model.keras` is not there: an ONNX file was published" in text


@pytest.mark.slow
def test_of_8_bits_there_are_only_those(tmp_path, exported):
    hub_folder.write_hub_folder(exported["onnx_int8"], tmp_path / "out", per_label=1, space=False)
    files = [name for name in _names(tmp_path / "out") if name.startswith(("onnx", "model"))]
    assert files == ["onnx/model_int8.onnx"]
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "`onnx/model.onnx` and `onnx/model_fp16.onnx` are left out: of weights in 8 bits" in text
    assert "`hf://OWNER/NAME` is `onnx/model_int8.onnx` here" in text
    assert 'InferenceSession("onnx/model_int8.onnx")' in text


@pytest.mark.slow
def test_the_hub_s_own_library_reads_the_metadata(of_run):
    card = ModelCard.load(of_run / "README.md")
    assert card.data.license == "mit"
    assert card.data.library_name == "kdiffusion"
    assert card.data.pipeline_tag == "unconditional-image-generation"
    assert {"onnx", "keras", "diffusion", "class-conditional"} <= set(card.data.tags)
    assert card.data.model_name == "model"
    results = {each.metric_type: each for each in card.data.eval_results}
    assert results.keys() == {"frechet_distance", "share_as_asked"}
    distance = results["frechet_distance"]
    assert distance.metric_value == 1.25
    assert distance.metric_name == "Fréchet distance (features: judge)"
    assert distance.metric_args == {"images": 600}
    assert distance.dataset_name == "digits"


@pytest.mark.slow
def test_no_path_of_this_machine_is_published(of_run):
    for name in ("README.md", "evaluation.json"):
        assert "/home/me" not in (of_run / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_text_has_the_figures_the_notes_and_every_file(of_run):
    text = (of_run / "README.md").read_text(encoding="utf-8")
    for needed in ("600 drawn images (sampler ddim, steps 5)", "Share as asked", "## Limits\n\nx"):
        assert needed in text
    for name in hub_folder.NAMES.values():
        assert f"| `{name}` |" in text
    assert 'load_denoiser("hf://someone/model")' in text


@pytest.mark.slow
def test_the_gallery_is_drawn_from_the_file(of_run):
    from kdiffusion.commands.grids import draw_by_class

    denoiser = load_denoiser(of_run / "onnx" / "model.onnx")
    classes = len(denoiser.card.class_names)
    images, *_ = draw_by_class(denoiser, range(classes), 2, 0)
    image = np.asarray(Image.open(of_run / "gallery.png"))
    scale = 48 // images.shape[2]
    last = image[-2 - scale * images.shape[1] : -2, -2 - scale * images.shape[2] : -2, 0]
    np.testing.assert_array_equal(last[::scale, ::scale], images[-1, ..., 0])


@pytest.mark.parametrize("prediction_type", hub_card.CLEAN_IMAGE)
def test_the_loop_of_the_text_draws_without_kdiffusion(
    tmp_path, monkeypatch, toy_file, card, prediction_type
):
    """The very images of our loop, from the same noise."""
    card = dataclasses.replace(card, prediction_type=prediction_type)
    toy_file.card_text = card.to_json()
    (tmp_path / "onnx").mkdir()
    path = toy_file.write(tmp_path / "onnx" / "model.onnx")
    monkeypatch.chdir(tmp_path)
    text = model_readme(card, Facts(), {"onnx/model.onnx": 1}, "x")
    *_, snippet = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(snippet, names)
    noise = np.random.default_rng(0).standard_normal((3, *card.image_shape))
    ours = sample(
        load_denoiser(path), range(3), range(3), latents=noise, sampler="ddim", steps=20,
        spacing="linspace", guidance_strength=0.0,
    )  # fmt: skip
    np.testing.assert_allclose(names["x"], ours, atol=1e-5)
    assert Image.open(tmp_path / "samples.png").size == (12, 6)


def test_metadata_of_more_kinds_are_read_by_the_hub_s_library(card):
    parent = Parent(name="hf://a/b@v1/onnx/model.onnx", sha256=64 * "0")
    for name, datasets in DATASETS.items():
        known = dataclasses.replace(card, dataset=name, parent=parent)
        read = ModelCard(model_readme(known, Facts(tags=("x",)), {"onnx/model.onnx": 1}, "y")).data
        assert read.datasets == [datasets]
        assert read.base_model == "a/b"
        assert "x" in read.tags
        assert read.license is None
        assert "keras" not in read.tags
    assert "base_model" not in metadata(
        dataclasses.replace(card, parent=Parent(name="x.onnx", sha256=64 * "0")), Facts(), ()
    )


def test_a_model_without_a_name_is_listed_by_its_data_and_its_preset(card):
    def listed(preset):
        known = dataclasses.replace(card, dataset="digits", preset=preset)
        return metadata(known, Facts(evaluation=FIGURES), ())["model-index"][0]["name"]

    assert listed("cifar10_small") == "digits-cifar10_small"
    assert listed("digits") == "digits"


@pytest.mark.parametrize(
    "value",
    [
        {"a": "yes"}, {"a": "1.0"}, {"a": "x: y"}, {"a": "- x"}, {"a": ""}, {"a": "é \"q\" \\ #"},
        {"a": True, "b": 1, "c": -1.5e-7, "d": None}, {"a": ["x", {"b": [{"c": "d"}], "e": 1}]},
        {"a": "null"}, {"a": "2020-01-01"}, {"a": "x  y "}, {"a": "line\nline"},
    ],
)  # fmt: skip
def test_yaml_is_read_back_as_it_was(value):
    assert yaml.safe_load(hub_card.yaml(value)) == value


def test_the_space_is_a_static_one(card):
    text = hub_card.space_readme(card, Facts(name="a/b", license="mit"))
    data = SpaceCard(text).data
    assert (data.sdk, data.app_file, data.models) == ("static", "index.html", ["a/b"])
    assert len(data.short_description) <= 60


@pytest.mark.slow
def test_the_page_is_in_it_and_draws_from_the_smaller_file(tmp_path, exported, find_program):
    find_program("npm", "npm, which comes with Node.js")
    hub.main(exported["onnx"], tmp_path / "out", per_label=1)
    space = tmp_path / "out" / "space"
    assert (space / "index.html").is_file()
    assert (space / "denoiser.onnx").read_bytes() == exported["onnx_float16"].read_bytes()
    assert SpaceCard.load(space / "README.md").data.sdk == "static"
    before = _names(tmp_path / "out")
    hub.main(exported["onnx"], tmp_path / "out", per_label=1, overwrite=True)
    assert _names(tmp_path / "out") == before


@pytest.mark.slow
def test_without_npm_nothing_is_left(tmp_path, exported, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="npm was not found"):
        hub.main(exported["onnx"], tmp_path / "deep" / "out", per_label=1)
    assert not (tmp_path / "deep").exists()


@pytest.mark.slow
def test_an_earlier_folder_is_replaced_unless_something_was_added(tmp_path, exported):
    out = tmp_path / "out"
    facts = Facts(evaluation=FIGURES)
    hub_folder.write_hub_folder(exported["onnx"], out, facts, per_label=1, space=False)
    with pytest.raises(FileExistsError, match="out exists"):
        hub.main(exported["onnx"], out, space=False)
    hub.main(exported["onnx"], out, space=False, per_label=1, overwrite=True)
    assert "evaluation.json" not in _names(out)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine\.txt .* not written by this program"):
        hub.main(exported["onnx"], out, space=False, overwrite=True)
    assert (out / "mine.txt").read_text() == "mine"


def test_a_released_model_brings_its_licence(tmp_path):
    hub.main(Path("digits"), tmp_path / "out", space=False, per_label=1)
    data = ModelCard.load(tmp_path / "out" / "README.md").data
    assert data.license == "apache-2.0"
    assert data.datasets is None  # the digits aren't on the Hub


def test_the_printed_upload_is_a_command_for_a_folder_of_any_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(hub, "write_hub_folder", lambda *arguments, **options: {})
    out = tmp_path / "my model's"
    hub.main(Path("digits"), out, name="someone/model", space=False)
    said = capsys.readouterr().out.splitlines()[-1].removeprefix("Upload it: ")
    assert shlex.split(said)[:4] == ["hf", "upload", "someone/model", str(out)]


@pytest.mark.slow
def test_other_sources_are_refused(tmp_path, exported):
    out = tmp_path / "out"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        hub.main(tmp_path / "none", out, space=False)
    (tmp_path / "saved_model").mkdir()
    with pytest.raises(ArtifactError, match="the other formats hold no weights to go by"):
        hub.main(tmp_path / "saved_model", out, space=False)
    damaged = shutil.copy(exported["onnx"], tmp_path / "damaged.onnx")
    content = bytearray(Path(damaged).read_bytes())
    content[len(content) // 2] ^= 1
    Path(damaged).write_bytes(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        hub.main(Path(damaged), out, space=False)
    with pytest.raises(ValueError, match="`best` must be left out"):
        hub.main(exported["onnx"], out, space=False, best=True)
    with pytest.raises(ValueError, match="`per_label` must be at least 1"):
        hub.main(exported["onnx"], out, space=False, per_label=0)
    assert not out.exists()


@pytest.mark.parametrize("text", ["Apache 2.0", "MIT", "", "mit\n"])
def test_a_licence_that_is_no_identifier_is_refused_before_the_work(tmp_path, text):
    with pytest.raises(ValueError, match="`license` must be an identifier of the Hub's list"):
        hub.main(Path("digits"), tmp_path / "out", license=text)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", json.dumps({**FIGURES, "format_version": 9}), "\0", 9999 * "[",
        json.dumps({**FIGURES, "frechet_distance": "1"}), json.dumps({**FIGURES, "sampler": 1}),
        json.dumps({**FIGURES, "frechet_distance": float("nan")}),
        json.dumps({**FIGURES, "images": None}),
    ],
)  # fmt: skip
def test_an_evaluation_that_is_none_is_refused_before_the_work(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(ValueError, match=r"must be an evaluation\.json that `kdiffusion evaluate`"):
        hub.main(Path("digits"), tmp_path / "out", evaluation=tmp_path / "evaluation.json")
    assert not (tmp_path / "out").exists()


def test_a_binary_file_in_place_of_an_evaluation_is_named_in_a_line(tmp_path):
    path = tmp_path / "statistics.npz"
    path.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 400)
    with pytest.raises(ValueError, match=r"statistics\.npz: UnicodeDecodeError") as refused:
        hub.main(Path("digits"), tmp_path / "out", evaluation=path)
    assert len(str(refused.value)) < 500
