"""What `python -m kdiffusion web` refuses, leaving nothing; what it makes is tried in a browser."""

import pytest

from kdiffusion.artifacts import ArtifactError
from kdiffusion.commands.site import write_site


@pytest.fixture
def folder(tmp_path):
    """Where the site would be; nothing may be left there, nor beside it."""
    folder = tmp_path / "sites" / "site"
    yield folder
    assert not list(folder.parent.glob("*"))


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
