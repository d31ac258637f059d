"""The site of docs/ builds without a warning, and its API reference has every public name."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kdiffusion

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_site_builds_strictly_with_every_public_name(checkout):
    shutil.copy(ROOT / "zensical.toml", checkout)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=checkout, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout
    assert "griffe:" not in built.stdout + built.stderr  # a docstring that doesn't fit its function
    page = (checkout / "site" / "api" / "index.html").read_text(encoding="utf-8")
    documented = {name.rpartition(".")[2] for name in re.findall(r'<h2 id="([\w.]+)"', page)}
    assert documented >= set(kdiffusion.__all__)
