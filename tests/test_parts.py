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
import importlib, pkgutil, sys
import kdiffusion
from kdiffusion.__main__ import main
from kdiffusion.commands import COMMANDS

for module in pkgutil.walk_packages(kdiffusion.__path__, "kdiffusion."):
    if module.name.startswith(sys.argv[1]) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for command in COMMANDS:
    try:
        main([command, "--help"])
    except SystemExit as end:
        assert not end.code, command
    print("helped", command)
"""


TRAIN_AND_SAMPLE = """
from functools import partialmethod
from kdiffusion.training.diffusion_model import DiffusionModel

# A few steps are done sooner than a graph of one is traced.
DiffusionModel.compile = partialmethod(DiffusionModel.compile, run_eagerly=True)
main(["train", *sys.argv[2:], "--optimizer.epochs", "1", "--run-dir", "run"])
sample = ["sample", "run/export/denoiser.onnx", "--labels", "3", "7", "--per-label", "1"]
main([*sample, "--steps", "2", "--out", "samples.png"])
"""


@pytest.mark.parametrize(("user", "used"), sorted(BETWEEN_PARTS))
def test_without_a_part_that_another_uses_that_imports_and_all_help(
    user, used, tmp_path, run_python
):
    """No file but the tables knows the other parts: see test_imports.py, and all are gone below."""
    core = _without([used.removeprefix("parts.")], tmp_path)
    done = run_python("-c", IMPORT_AND_HELP, f"kdiffusion.{user}", **core)
    helped = {"sample", "train", "export", "interpolate", "models"}
    assert set(re.findall(r"^helped (\w+)$", done.stdout, re.MULTILINE)) >= helped


def test_without_any_part_the_core_trains_exports_and_samples(tmp_path, run_python):
    core = _without(PARTS, tmp_path)
    run_python("-c", IMPORT_AND_HELP + TRAIN_AND_SAMPLE, "kdiffusion.", *TINY, **core)
    assert (tmp_path / "samples.png").stat().st_size > 0
