"""What `python -m kdiffusion web` refuses, leaving nothing; what it makes is tried in a browser."""

import json

import pytest

from kdiffusion.artifacts import ArtifactError
from kdiffusion.commands.site import MANIFEST, ours, write_site
from kdiffusion.files import refuse_existing


@pytest.fixture
def folder(tmp_path):
    """Where the site would be; nothing may be left there, nor beside it."""
    folder = tmp_path / "sites" / "site"
    yield folder
    assert not folder.parent.exists()


def test_only_onnx_runs_in_a_browser(tmp_path, folder):
    (tmp_path / "saved_model").mkdir()
    with pytest.raises(ArtifactError, match=r"not an ONNX file.*--formats onnx"):
        write_site(tmp_path / "saved_model", folder)


def test_a_file_without_a_card_is_refused(toy_file, tmp_path, folder):
    toy_file.card_text = None
    with pytest.raises(ArtifactError, match="carries no denoiser card"):
        write_site(toy_file.write(tmp_path / "toy.onnx"), folder)


def test_without_npm_it_says_where_npm_comes_from(toy, tmp_path, folder, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match=r"npm was not found.*nodejs.org"):
        write_site(toy, folder)


def test_without_a_network_it_says_what_npm_says(toy, tmp_path, folder, monkeypatch, find_program):
    find_program("npm", "npm, which comes with Node.js")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty"))
    monkeypatch.setenv("npm_config_offline", "true")
    with pytest.raises(OSError, match=r"npm could not fetch ONNX Runtime.*ENOTCACHED"):
        write_site(toy, folder)


def test_a_site_is_replaced_only_if_it_holds_what_it_lists(tmp_path):
    site = tmp_path / "site"
    (site / "runtime").mkdir(parents=True)
    (site / "runtime" / "ort.wasm").write_text("runtime")
    (site / MANIFEST).write_text(json.dumps({"files": [MANIFEST, "runtime/ort.wasm"]}))
    refuse_existing(site, overwrite=True, ours=ours)
    (site / ".git").mkdir()
    (site / ".git" / "HEAD").write_text("mine")
    with pytest.raises(FileExistsError, match=r"HEAD .* not written by this program"):
        refuse_existing(site, overwrite=True, ours=ours)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": [1]}'])
def test_a_list_that_is_none_marks_nothing(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    assert ours(tmp_path) is None
