"""`hf://owner/name` wherever an exported file can be given, from a stand-in for the Hub."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save

from kdiffusion.artifacts import ArtifactError, diffusers_folder, hub, load_denoiser
from kdiffusion.commands import sample
from kdiffusion.runs.initial_weights import read_parent

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "denoiser.onnx"
DIGITS = ROOT / "pretrained" / "digits" / "denoiser_float16.onnx"
THEIRS = ROOT / "tests" / "artifacts" / "diffusers" / "classes"
NAME = "someone/model"


@pytest.fixture
def published(stand_in):
    """The stand-in, with a repository of one commit."""
    stand_in.put(NAME, {"onnx/model.onnx": GOLDEN.read_bytes()})
    return stand_in


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("hf://a/b", "hf://a/b"),
        (Path("hf://a/b@v1"), "hf://a/b@v1"),
        (Path("hf://a/b/x.onnx"), "hf://a/b/x.onnx"),
        ("hf/a", "hf/a"),
        (Path("runs/hf:/a"), "runs/hf:/a"),
    ],
)
def test_a_path_keeps_what_was_written(given, written):
    assert hub.spelled(given) == written
    assert hub.is_on_hub(given) == written.startswith("hf://")


def test_a_name_opens_the_model(published):
    opened, here = load_denoiser(f"hf://{NAME}"), load_denoiser(GOLDEN)
    assert opened.card == here.card
    assert opened.path.read_bytes() == GOLDEN.read_bytes()


def test_a_revision_stays_what_it_was(published):
    first = published.put(NAME, {"onnx/model.onnx": GOLDEN.read_bytes()})
    published.put(NAME, {"onnx/model.onnx": DIGITS.read_bytes()})
    assert load_denoiser(f"hf://{NAME}@{first}").card == load_denoiser(GOLDEN).card
    assert load_denoiser(f"hf://{NAME}").card == load_denoiser(DIGITS).card
    assert load_denoiser(f"hf://{NAME}@main").card == load_denoiser(DIGITS).card


def test_a_file_of_it_can_be_named(published):
    files = {"onnx/model.onnx": GOLDEN.read_bytes(), "onnx/model_fp16.onnx": DIGITS.read_bytes()}
    commit = published.put(NAME, files)
    for word in (f"hf://{NAME}/onnx/model_fp16.onnx", f"hf://{NAME}@{commit}/onnx/model_fp16.onnx"):
        assert load_denoiser(word).card == load_denoiser(DIGITS).card


@pytest.mark.parametrize("file", hub.FILES)
def test_a_name_stands_for_the_first_file_that_is_there(stand_in, file):
    stand_in.put(NAME, {file: GOLDEN.read_bytes(), "z.onnx": b""})
    assert hub.downloaded(f"hf://{NAME}").as_posix().endswith(file)


def test_what_was_downloaded_opens_without_the_hub(published, monkeypatch):
    """Also where the first file that is looked for isn't in the repository."""
    published.put(NAME, {"onnx/model_fp16.onnx": GOLDEN.read_bytes()})
    load_denoiser(f"hf://{NAME}")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's attempts
    published.stop()
    assert load_denoiser(f"hf://{NAME}").card == load_denoiser(GOLDEN).card
    with pytest.raises(ArtifactError, match=r"other/model can't be downloaded: the Hub can't be r"):
        load_denoiser("hf://other/model")


def test_without_the_hub_another_file_of_the_model_is_not_taken_for_it(published, monkeypatch):
    published.put(NAME, {hub.FILES[0]: GOLDEN.read_bytes(), hub.FILES[1]: DIGITS.read_bytes()})
    load_denoiser(f"hf://{NAME}/{hub.FILES[1]}")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's attempts
    published.stop()
    with pytest.raises(ArtifactError, match=r"model can't be downloaded: the Hub can't be reached"):
        load_denoiser(f"hf://{NAME}")


def test_a_damaged_file_is_refused(published):
    content = bytearray(DIGITS.read_bytes())
    content[len(content) // 2] ^= 1
    published.put(NAME, {"onnx/model.onnx": bytes(content)})
    with pytest.raises(ArtifactError, match="is damaged, or was changed by another tool"):
        load_denoiser(f"hf://{NAME}")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("hf://someone", "must be given as hf://owner/name"),
        ("hf://a/b@", "must be given as hf://owner/name"),
        ("hf://a/b@x/y@z", "must be given as hf://owner/name"),
        ("hf://../b", "must be given as hf://owner/name"),
        ("hf://someone/none", "the Hub has no such repository; or it is private"),
        (f"hf://{NAME}@none", "it has no such revision"),
        (f"hf://{NAME}/none.onnx", "must hold none.onnx, and doesn't"),
        ("hf://someone/empty", r"must hold one of onnx/model\.onnx, .*`import` reads models of"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(published, word, says):
    published.put("someone/empty", {"README.md": b"text"})
    with pytest.raises(ArtifactError, match=says) as caught:
        load_denoiser(word)
    assert "\n" not in str(caught.value)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ArtifactError, match=r"hf://a/b is on the Hub.*pip install huggingface_hub"):
        load_denoiser("hf://a/b")


def test_a_command_draws_from_it_in_a_process_of_its_own(published, tmp_path):
    command = [sys.executable, "-m", "kdiffusion", "sample", f"hf://{NAME}", "--labels", "3"]
    command += ["--per-label", "1", "--out", str(tmp_path / "x.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sample.main(GOLDEN, labels=("3",), per_label=1, out=tmp_path / "y.png")
    drawn, here = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "xy")
    np.testing.assert_array_equal(drawn, here)
    done = subprocess.run([*command[:4], "hf://no/one"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: hf://no/one can't be downloaded: the Hub has no such")
    assert done.stderr.count("\n") == 1


def test_a_run_starts_from_it_and_its_card_names_it(published):
    published.put(NAME, {"onnx/model.onnx": DIGITS.read_bytes()})
    parent, here = read_parent(Path(f"hf://{NAME}")), read_parent(DIGITS)
    assert parent.to_dict() == {"name": f"hf://{NAME}", "sha256": here.sha256}
    assert parent.weights.keys() == here.weights.keys()


def held_by(folder):
    """{path: bytes} of a folder in diffusers' layout."""
    paths = [path for path in folder.rglob("*.*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def weights_asked(stand_in):
    paths = {path.partition("/resolve/")[2] for _, path in stand_in.requests}
    return {path.partition("/")[2] for path in paths if path.endswith((".bin", ".safetensors"))}


WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
PARTS = {"unet/a.safetensors", "unet/b.safetensors"}
VARIANT = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.mark.parametrize(
    ("example", "needed"), [("classes", {WEIGHTS}), ("classes", PARTS), ("half", {VARIANT})]
)
def test_import_reads_a_model_of_diffusers(stand_in, example, needed):
    """Whose pickles stay where they are, and so do other weights."""
    held = held_by(THEIRS.with_name(example))
    others = {"unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.safetensors"}
    if needed == {WEIGHTS}:
        others |= {VARIANT}
    if needed == PARTS:
        tensors, places = load(held.pop(WEIGHTS)), {}
        halves = list(tensors)[:40], list(tensors)[40:]
        for part, names in zip(PARTS, halves, strict=True):
            held[part] = save({name: tensors[name] for name in names})
            places |= dict.fromkeys(names, Path(part).name)
        held[f"{WEIGHTS}.index.json"] = json.dumps({"weight_map": places}).encode()
    commit = stand_in.put(NAME, {**held, **dict.fromkeys(others, b"of no use")})
    read = diffusers_folder.read(f"hf://{NAME}@{commit}")
    here = diffusers_folder.read(THEIRS.with_name(example))
    assert read.name == f"{NAME}@{commit}"
    assert read.arguments == here.arguments
    assert read.tensors.keys() == here.tensors.keys()
    assert all(np.array_equal(read.tensors[name], here.tensors[name]) for name in here.tensors)
    assert needed == PARTS or read.sha256 == here.sha256
    assert weights_asked(stand_in) == needed


def test_import_fetches_no_weights_of_what_it_refuses(stand_in):
    index = json.dumps({"_class_name": "StableDiffusionPipeline"}).encode()
    stand_in.put(NAME, held_by(THEIRS) | {"model_index.json": index})
    with pytest.raises(ArtifactError, match=r"`_class_name` must be one of"):
        diffusers_folder.read(NAME)
    assert weights_asked(stand_in) == set()
    with pytest.raises(ArtifactError, match="could not be downloaded from the Hub: the Hub has no"):
        diffusers_folder.read("someone/none")
