"""Parts can be taken out: a folder each, and the lines elsewhere that name it."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.runs.conftest import TINY
from tests.test_imports import BETWEEN_PARTS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PARTS = sorted(path.parent.name for path in ROOT.glob("kdiffusion/parts/*/__init__.py"))


def _without(parts, folder):
    """A copy of the code without parts: their folders, and each line that names `parts.NAME`."""
    for name in ("kdiffusion", "export"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for part in parts:
        shutil.rmtree(folder / "kdiffusion" / "parts" / part)
    row = re.compile(rf"\bparts[./]({'|'.join(parts)})\b")
    left = folder / "kdiffusion" / "parts"
    for path in [folder / "pyproject.toml", *folder.rglob("*.py")]:
        if left not in path.parents:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(line for line in lines if not row.search(line)), "utf-8")
    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    packages = settings["tool"]["setuptools"]["packages"]
    assert all((folder / each.replace(".", "/")).is_dir() for each in packages if "parts" in each)
    return {"cwd": folder, "env": {"PYTHONPATH": str(folder)}}


IMPORT_AND_HELP = """
import importlib, pkgutil
import kdiffusion
from kdiffusion.__main__ import main
from kdiffusion.commands import COMMANDS

for module in pkgutil.walk_packages(kdiffusion.__path__, "kdiffusion."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for command in COMMANDS:
    try:
        main([command, "--help"])
    except SystemExit as end:
        assert not end.code, command
    print("helped", command)
"""


@pytest.mark.parametrize("used", sorted(used for _, used in BETWEEN_PARTS))
def test_without_a_part_that_another_uses_all_import_and_help(used, tmp_path, run_python):
    """No file but the tables knows the other parts: see test_imports.py, and all are gone below."""
    part = used.removeprefix("parts.")
    done = run_python("-c", IMPORT_AND_HELP, **_without([part], tmp_path))
    helped = {"sample", "train", "export", "interpolate", "models"}
    assert set(re.findall(r"^helped (\w+)$", done.stdout, re.MULTILINE)) >= helped


def test_without_any_part_the_core_trains_exports_and_samples(tmp_path, run_python):
    core = _without(PARTS, tmp_path)
    train = ["train", *TINY, "--optimizer.epochs", "1", "--run-dir", "run"]
    run_python("-m", "kdiffusion", *train, **core)
    file = tmp_path / "run" / "export" / "denoiser.onnx"
    sample = ["sample", file, "--labels", "3", "7", "--per-label", "1", "--steps", "2"]
    run_python("-m", "kdiffusion", *sample, "--out", "samples.png", **core)
    assert (tmp_path / "samples.png").stat().st_size > 0
    run_python("-c", IMPORT_AND_HELP, **core)
