"""The site of docs/ builds without a warning, and its API reference has every public name."""

import re
import shutil
from pathlib import Path

import pytest

import kdiffusion

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_site_builds_strictly_with_every_public_name(tmp_path, run_python):
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    for name in ("docs", "kdiffusion", "export"):  # a build leaves files behind
        shutil.copytree(ROOT / name, tmp_path / name)
    script = tmp_path / "docs" / "build_site.py"
    built = run_python(script, "build", "--strict", cwd=tmp_path, env={"PYTHONPATH": ""})
    assert "griffe:" not in built.stdout + built.stderr  # a docstring that doesn't fit its function
    page = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    documented = {name.rpartition(".")[2] for name in re.findall(r'<h2 id="([\w.]+)"', page)}
    assert documented >= set(kdiffusion.__all__)
    for notebook in ROOT.glob("docs/course/*.ipynb"):
        page = tmp_path / "site" / "course" / notebook.stem / "index.html"
        assert page.read_text(encoding="utf-8").count("<img ") >= 2
