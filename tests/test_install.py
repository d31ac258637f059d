"""The package as it is published, and with nothing beside it but what it says that it needs."""

import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from base64 import b64decode
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands import COMMANDS
from tests.data.made_up import write_folder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


SHIPPED = ("kdiffusion", "export", "pretrained", "docs", "train.py", "pyproject.toml", "README.md")
SHIPPED += ("requirements.txt", "tests/requirements.txt", "LICENSE")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what is shipped: a build leaves files behind."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SHIPPED:
        (folder / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (path,) = folder.glob("*.whl")  # of the sdist beside it
    return path


def test_an_index_would_take_it(wheel):
    check = [sys.executable, "-m", "twine", "check", "--strict", *wheel.parent.iterdir()]
    subprocess.run(check, check=True)
    assert wheel.name.startswith("kdiffusion_keras-")
    assert wheel.stat().st_size < 100e6  # what PyPI takes


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


EXECUTE = """
import sys, nbclient, nbformat
from nbformat.v4 import new_code_cell

LESS = {
    "seeds=128": "seeds=16",
    "np.tile(ten, 50)": "np.tile(ten, 4)",
    "32, (1, 2), blocks_per_level=1, attention_resolutions=(4,)":
        "8, (1,), blocks_per_level=1, attention_resolutions=()",
    "CHANNELS = 32": "CHANNELS = 8",
    "sample(cifar10, asked,": "sample(cifar10, asked, steps=2,",
    "steps=250": "steps=50",
    '"steps_per_epoch": 300': '"steps_per_epoch": 30',
    "AdamW(2e-3))\\nsteps": "AdamW(2e-3), run_eagerly=True)\\nsteps",
}
notebooks = [nbformat.read(name, as_version=4) for name in sys.argv[1:]]
for cell in [cell for notebook in notebooks for cell in notebook.cells]:
    for text, instead in LESS.items():
        cell.source = cell.source.replace(text, instead)
    if "parameters" in cell.metadata.get("tags", ()):
        assert cell.source.startswith("EPOCHS = ")
        cell.source = "EPOCHS = 1"
# One after another in one process, which starts TensorFlow once; each begins with no names.
cells = [cell for each in notebooks for cell in (*each.cells, new_code_cell("%reset -f"))]
one = nbformat.NotebookNode({**notebooks[0], "cells": cells})
nbclient.NotebookClient(one, timeout=600, coalesce_streams=True).execute()
for name, notebook in zip(sys.argv[1:], notebooks):
    nbformat.write(notebook, f"executed_{name}")
"""
COURSE = sorted(path.name for path in ROOT.glob("docs/course/*.ipynb"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The programs of an environment with all that is here but kdiffusion."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = sysconfig.get_path("purelib", vars={"base": folder, "platbase": folder})
    here = sysconfig.get_path("purelib")
    Path(site, "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def executed(checkout, environment):
    """The folder of the course, executed; the first notebook installs kdiffusion."""
    folder, command = checkout / "docs" / "course", [environment / "python", "-c", EXECUTE, *COURSE]
    # The kernel that nbclient starts is of the environment that it runs in.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", COURSE)
def test_a_notebook_of_the_course_runs_and_shows_images(name, executed):
    before, after = (
        nbformat.read(executed / each, as_version=4) for each in (name, f"executed_{name}")
    )
    # What is published shows what the cells show.
    assert [_kinds(cell) for cell in before.cells] == [_kinds(cell) for cell in after.cells]
    outputs = [output for cell in after.cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "data" in output]
    pngs = [data["image/png"] for data in shown if "image/png" in data]
    assert len(pngs) >= 2
    assert all(np.std(Image.open(io.BytesIO(b64decode(png)))) > 15 for png in pngs)
    said = "".join(output.get("text", "") for output in outputs)
    for difference in re.findall(r"largest difference.*: (\S+)", said):  # from the library's
        assert float(difference) < 1e-3


def _kinds(cell):
    """Of what a cell shows: pictures, and what it prints, without notices."""
    kinds = [
        sorted({*output.get("data", ("text",))} - {"image/jpeg"})  # the same picture as PNG
        for output in cell.get("outputs", ())
        if output.get("name") != "stderr"
    ]
    return [] if "find_spec" in cell.source else kinds  # this one may install


def test_what_the_course_installed_is_a_wheel_that_samples(environment, tmp_path):
    where = "import kdiffusion.export; print(kdiffusion.export.__file__)"
    python = environment / "python"
    said = subprocess.run([python, "-c", where], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout.strip().endswith("site-packages/kdiffusion/export/__init__.py"), said.stderr
    sample = ["sample", "digits", "--per-label", "1", "--steps", "2"]
    subprocess.run([environment / "kdiffusion", *sample], cwd=tmp_path, check=True)
    assert (tmp_path / "samples.png").is_file()


# Runs commands where nothing is there but what the packages of the first argument bring.
WITH_THESE_ALONE = """
import importlib.metadata, sys
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

there, left = set(), sys.argv[1].split("|")
while left:
    need = Requirement(left.pop())
    name = canonicalize_name(need.name)
    if name not in there and (need.marker is None or need.marker.evaluate({"extra": ""})):
        there.add(name)
        left += importlib.metadata.requires(name) or []
for module, packages in importlib.metadata.packages_distributions().items():
    if module != "kdiffusion" and not there & set(map(canonicalize_name, packages)):
        sys.modules[module] = None  # importing it is an error
from kdiffusion.__main__ import main
for line in sys.argv[2:]:
    try:
        main(line.split())
    except SystemExit as end:
        assert not end.code, f"{line}: {end.code}"
"""
# What trains or converts, and the Hub, need an extra.
NEED_MORE = {"train", "import", "export", "export_sampler", "hub"}


def test_sampling_needs_the_base_alone(tmp_path, run_python):
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    files = {
        f"{name}/{number}.png": np.full((8, 8, 3), 40 * number + added, np.uint8)
        for name, added in {"light": 100, "dark": 0}.items()
        for number in range(4)
    }
    write_folder(tmp_path / "photos", files)
    photo, mask = "photos/light/0.png", "photos/light/3.png"
    done = run_python(
        "-c", WITH_THESE_ALONE, "|".join(base),
        *(f"{command} --help" for command in COMMANDS if command not in NEED_MORE),
        "sample digits --labels 3 --per-label 1 --out three.png",
        "sample_many digits --seeds 0:2",
        "interpolate digits --labels 0",
        f"image_to_image digits {photo} --labels 0 --per-label 1",
        f"inpaint digits {photo} {mask} --labels 0 --per-label 1 --resamplings 1",
        "sample digits --labels 0 --per-label 1 --out film.gif",
        "evaluate ./photos --data ./photos --images 8 --measures copies",
        cwd=tmp_path,
    )  # fmt: skip
    for name in ("three.png", "walk.png", "variations.png", "inpainted.png", "film.gif"):
        assert (tmp_path / name).is_file(), done.stderr
    assert (tmp_path / "samples" / "images_00000000-00000001.npz").is_file()
