"""The package as a wheel, and with nothing beside it but what it says that it needs."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands import COMMANDS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, checkout], check=True)
    (path,) = folder.iterdir()
    return path


def test_a_wheel_holds_every_module_and_all_that_they_read(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder, place, files in (
        ("kdiffusion", "kdiffusion", "*"),
        ("export", "kdiffusion/export", "*.py"),
        ("pretrained", "kdiffusion/pretrained", "*.onnx"),
        ("pretrained", "kdiffusion/pretrained", "*.safetensors"),
    ):
        paths = [path for path in (ROOT / folder).rglob(files) if path.is_file()]
        names = {f"{place}/{path.relative_to(ROOT / folder).as_posix()}" for path in paths}
        assert {name for name in names if "__pycache__" not in name} <= held
        assert names


def test_an_installed_wheel_exports_and_samples(wheel, bare_environment, tmp_path):
    programs = bare_environment()
    python = programs / "python"
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", wheel]
    subprocess.run([python, *pip], check=True)
    where = "import kdiffusion.export; print(kdiffusion.export.__file__)"
    said = subprocess.run([python, "-c", where], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout.strip().endswith("site-packages/kdiffusion/export/__init__.py"), said.stderr
    export = ["export", "digits", "--formats", "onnx", "--out", "exported"]
    subprocess.run([programs / "kdiffusion", *export], cwd=tmp_path, check=True)
    sample = ["sample", "exported/denoiser.onnx", "--per-label", "1", "--steps", "2"]
    subprocess.run([programs / "kdiffusion", *sample], cwd=tmp_path, check=True)
    assert (tmp_path / "samples.png").is_file()


# Runs commands where nothing is there but what the packages of the first argument bring.
WITH_THESE_ALONE = """
import importlib.metadata, re, sys

def plain(name):
    return re.sub("[-_.]+", "-", re.match(r"[\\w.-]+", name)[0]).lower()

there, left = set(), sys.argv[1].split("|")
while left:
    name = plain(left.pop())
    if name not in there:
        there.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another system or Python
        left += [each for each in needs if "extra ==" not in each]

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing = {
    module
    for module, packages in importlib.metadata.packages_distributions().items()
    if not there & set(map(plain, packages))
} - {"kdiffusion"}
sys.meta_path.insert(0, Missing)
from kdiffusion.__main__ import main
for line in sys.argv[2:]:
    try:
        main(line.split())
    except SystemExit as end:
        print(f"{line}: {end.code or 0}", file=sys.stderr)
"""
# What trains, converts or uploads needs an extra.
NEED_MORE = {"train", "import", "export", "export_diffusers", "export_sampler", "hub"}


def test_sampling_needs_the_base_alone(tmp_path):
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name in ("light", "dark"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((8, 8, 3), 40 * number + 100 * (name == "light"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    done = subprocess.run(
        [
            sys.executable, "-c", WITH_THESE_ALONE, "|".join(base),
            *(f"{command} --help" for command in COMMANDS if command not in NEED_MORE),
            "sample digits --labels 3 --per-label 1 --out three.png",
            "evaluate ./photos --data ./photos --images 8 --measures copies",
        ],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "No module named" not in done.stderr, done.stderr
    ended = [line.rpartition(": ") for line in done.stderr.splitlines() if "--help: " in line]
    assert len(ended) >= 5
    assert {code for *_, code in ended} == {"0"}
    assert (tmp_path / "three.png").is_file()
