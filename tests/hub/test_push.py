"""`kdiffusion hub --push`, to a stand-in for the Hub: what lands there opens again from there."""

import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.commands import hub, hub_push

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "denoiser.onnx"
NAME = "someone/model"


@pytest.fixture
def folder(tmp_path):
    """A folder as `hub` makes it, of few files."""
    out = tmp_path / "out"
    files = {
        "README.md": b"---\nlicense: mit\n---\n\n# x\n", "onnx/model.onnx": GOLDEN.read_bytes(),
        "onnx/model_int8.onnx": b"8 bits", "space/README.md": b"---\nsdk: static\n---\n",
        "space/index.html": b"<p>page</p>", "space/.kdiffusion-site": b"", ".kdiffusion-hub": b"",
    }  # fmt: skip
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return out


def _push(folder, **choices):
    choices = {"space": False, "private": False, **choices}
    return hub_push.push(hub_push.ready(NAME), folder, NAME, **choices)


def _commits(stand_in):
    return [path for method, path in stand_in.requests if method == "POST" and "/commit/" in path]


def test_all_files_land_in_one_commit(stand_in, folder):
    assert _push(folder) == {"model": f"{stand_in.url}/{NAME}"}
    names = {"README.md", "onnx/model.onnx", "onnx/model_int8.onnx"}
    assert stand_in.files(NAME).keys() == {*names, ".gitattributes"}
    for name in names:
        assert stand_in.files(NAME)[name] == (folder / name).read_bytes()
    assert len(_commits(stand_in)) == 1
    assert ("spaces", NAME) not in stand_in.repositories
    assert "visibility" not in stand_in.facts["models", NAME]
    assert load_denoiser(f"hf://{NAME}").card == load_denoiser(GOLDEN).card


def test_the_space_has_a_repository_of_its_own(stand_in, folder):
    addresses = _push(folder, space=True, private=True)
    assert addresses["space"] == f"{stand_in.url}/spaces/{NAME}"
    files = stand_in.files(NAME, "spaces")
    assert files["index.html"] == b"<p>page</p>"
    assert "onnx/model.onnx" not in files
    assert stand_in.facts["spaces", NAME]["sdk"] == "static"
    assert {stand_in.facts[kind, NAME]["visibility"] for kind in ("models", "spaces")} == {
        "private"
    }


def test_a_second_upload_removes_what_the_first_had_and_nothing_of_others(stand_in, folder):
    _push(folder)
    first = dict(stand_in.files(NAME))
    stand_in.put(NAME, {**first, "theirs.txt": b"theirs"})
    (folder / "onnx" / "model_int8.onnx").unlink()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    _push(folder)
    files = stand_in.files(NAME)
    assert files["theirs.txt"] == b"theirs"
    assert b"apache-2.0" in files["README.md"]
    assert "onnx/model_int8.onnx" not in files
    assert "onnx/model.onnx" in files


def test_the_command_writes_uploads_and_says_where(stand_in, tmp_path, capsys):
    hub.main(Path("digits"), tmp_path / "out", push=NAME, space=False, per_label=1, license="mit")
    printed = capsys.readouterr().out
    assert f"Uploaded the model: {stand_in.url}/{NAME}" in printed
    assert f"python -m kdiffusion sample hf://{NAME}" in printed
    assert b"license: mit" in stand_in.files(NAME)["README.md"]
    assert f'load_denoiser("hf://{NAME}")'.encode() in stand_in.files(NAME)["README.md"]
    for file in ("onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"):
        assert load_denoiser(f"hf://{NAME}/{file}").card == load_denoiser("digits").card


def _refused(tmp_path, says, **choices):
    """The command, which fails before the work."""
    with pytest.raises((ArtifactError, ValueError), match=says) as caught:
        hub.main(Path("digits"), tmp_path / "out", **{"push": NAME, **choices})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    _refused(tmp_path, "`push` uploads, which needs a library .*: `pip install huggingface_hub`")


def test_without_a_token(stand_in, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    _refused(tmp_path, "can't log in to http.*: no token is there: `hf auth login`")


def test_with_a_wrong_token(stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    _refused(tmp_path, "can't log in to http")


def test_without_the_hub(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    stand_in.stop()
    _refused(tmp_path, "can't log in to http")


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"push": "model"}, "`push` must be owner/name"),
        ({"push": "a/b/c"}, "`push` must be owner/name"),
        ({"push": None, "name": "model"}, "`name` must be owner/name"),
        ({"push": None, "push_space": True}, "must come with `push`"),
        ({"push": None, "private": True}, "must come with `push`"),
        ({"push_space": True, "space": False}, "must come without `--no-space`"),
    ],
)
def test_options_that_make_no_sense(tmp_path, choices, says):
    _refused(tmp_path, says, **choices)


def test_where_others_are_at_home_nothing_is_uploaded_and_the_folder_stays(stand_in, tmp_path):
    with pytest.raises(ArtifactError, match=r"out is written, but its model can't be upl"):
        hub.main(Path("digits"), tmp_path / "out", push="them/model", space=False, per_label=1)
    assert (tmp_path / "out" / "README.md").is_file()
    assert not stand_in.repositories
