"""`kdiffusion hub --push`, to a stand-in for the Hub: what lands there opens again from there."""

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard, constants
from huggingface_hub.errors import LocalTokenNotFoundError

from kdiffusion.artifacts import load_denoiser
from kdiffusion.hub import publish as command
from kdiffusion.hub.publish import upload
from kdiffusion.runs.initial_weights import read_parent

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "denoiser.onnx"
NAME = "someone/model"


@pytest.fixture
def folder(tmp_path):
    """A folder as `hub` makes it, with few files."""
    out = tmp_path / "out"
    files = {
        "README.md": b"---\nlicense: mit\n---\n\n# x\n", "onnx/model.onnx": GOLDEN.read_bytes(),
        "onnx/model_int8.onnx": b"8 bits", ".kdiffusion-hub": b"",
        "space/README.md": b"---\nsdk: static\n---\n", "space/index.html": b"<p>page</p>",
    }  # fmt: skip
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return out


def test_all_files_land_in_one_commit(stand_in, folder):
    assert upload(folder, NAME, space=False, private=False) == {"model": f"{stand_in.url}/{NAME}"}
    names = {"README.md", "onnx/model.onnx", "onnx/model_int8.onnx"}
    assert stand_in.files(NAME).keys() == {*names, ".gitattributes"}
    for name in names:
        assert stand_in.files(NAME)[name] == (folder / name).read_bytes()
    commits = [each for each in stand_in.requests if each[0] == "POST" and "/commit/" in each[1]]
    assert len(commits) == 1
    assert ("spaces", NAME) not in stand_in.repositories
    assert "visibility" not in stand_in.facts["models", NAME]
    assert load_denoiser(f"hf://{NAME}").card == load_denoiser(GOLDEN).card


def test_the_space_has_a_repository_of_its_own(stand_in, folder):
    addresses = upload(folder, NAME, space=True, private=True)
    assert addresses["space"] == f"{stand_in.url}/spaces/{NAME}"
    assert stand_in.files(NAME, "spaces").keys() >= {"README.md", "index.html"}
    assert "onnx/model.onnx" not in stand_in.files(NAME, "spaces")
    assert stand_in.facts["spaces", NAME]["sdk"] == "static"
    for kind in ("models", "spaces"):
        assert stand_in.facts[kind, NAME]["visibility"] == "private"


def test_a_second_upload_removes_what_the_first_had_and_nothing_of_others(stand_in, folder):
    upload(folder, NAME, space=False, private=False)
    stand_in.put(NAME, {**stand_in.files(NAME), "theirs.txt": b"theirs"})
    (folder / "onnx" / "model_int8.onnx").unlink()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    upload(folder, NAME, space=False, private=False)
    files = stand_in.files(NAME)
    assert files["theirs.txt"] == b"theirs"
    assert b"apache-2.0" in files["README.md"]
    assert "onnx/model_int8.onnx" not in files
    assert "onnx/model.onnx" in files


@pytest.mark.slow
def test_what_the_command_uploads_opens_and_starts_a_run(stand_in, tmp_path, capsys):
    command.main(Path("digits"), tmp_path / "out", push=NAME, space=False, per_label=1)
    printed = capsys.readouterr().out
    assert f"Uploaded the model: {stand_in.url}/{NAME}" in printed
    assert f"python -m kdiffusion sample hf://{NAME}" in printed
    data = ModelCard(stand_in.files(NAME)["README.md"].decode()).data
    assert data.license == "apache-2.0"  # a released model brings its own
    assert data.datasets is None  # the digits aren't on the Hub
    for file in ("onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"):
        assert load_denoiser(f"hf://{NAME}/{file}").card == load_denoiser("digits").card
    parent, here = read_parent(f"hf://{NAME}"), read_parent(tmp_path / "out")
    assert parent.to_dict() == {"name": f"hf://{NAME}", "sha256": here.sha256}
    for name, weights in here.weights.items():
        np.testing.assert_array_equal(parent.weights[name], weights)


def test_without_a_token_it_fails_before_the_work(stand_in, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(LocalTokenNotFoundError):
        command.main(Path("digits"), tmp_path / "out", push=NAME)
    assert not (tmp_path / "out").exists()
