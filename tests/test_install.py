"""The package in a checkout, from a wheel and as an editable install: one set of classes.

A module that is loaded under two names has each of its classes twice, and an `except` that names
one misses the other.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands import COMMANDS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SHIPPED = ("kdiffusion", "export", "pretrained", "train.py", "pyproject.toml", "README.md")
SHIPPED += ("requirements.txt", "tests/requirements.txt", "LICENSE")

# Loads every module, and the doors where they are there; tells classes of one place that are two.
TWINS = """
import importlib, importlib.util, pkgutil, sys
import kdiffusion, kdiffusion.export

def load_all(package):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            loaded = importlib.import_module(module.name)
            if module.ispkg:
                load_all(loaded)

load_all(kdiffusion)
for door in ("export", "train"):
    if importlib.util.find_spec(door):
        importlib.import_module(door)
for name in [name for name in sys.modules if name.startswith("kdiffusion.export.")]:
    if "export" in sys.modules:
        assert importlib.import_module(name.removeprefix("kdiffusion.")) is sys.modules[name]
seen, names = {}, []
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").split(".")[0] not in ("kdiffusion", "export", "train"):
        continue
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            names.append(value.__qualname__)
            other = seen.setdefault((module.__file__, value.__qualname__), value)
            assert other is value, (value, other)
assert {"ArtifactError", "CardError", "DiffusionModel", "TrialExport"} <= set(names)
from kdiffusion import export_network, load_denoiser
print(kdiffusion.export.__file__)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what is shipped: a build leaves files behind."""
    if int(version("setuptools").split(".")[0]) < 77:
        message = "needs `setuptools>=77`, as tests/requirements.txt says"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    folder = tmp_path_factory.mktemp("checkout")
    for name in SHIPPED:
        (folder / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def make_environment(tmp_path_factory):
    """`make_environment(*pip arguments)`: an environment with the package, and all that is here."""

    def make(*arguments):
        folder = tmp_path_factory.mktemp("environment")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        site = sysconfig.get_path("purelib", vars={"base": folder, "platbase": folder})
        here = sysconfig.get_path("purelib")
        Path(site, "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
        python = folder / "bin" / "python"
        pip = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
        options = ["--no-build-isolation", "--disable-pip-version-check"]
        subprocess.run([sys.executable, *pip, *options, *arguments], check=True)
        return folder / "bin"

    return make


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, checkout], check=True)
    (path,) = folder.iterdir()
    return path


def _tell(command, cwd):
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_wheel_holds_every_module_and_all_that_they_read(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder, place, files in (
        ("kdiffusion", "kdiffusion", "*"),
        ("export", "kdiffusion/export", "*"),
        ("pretrained", "kdiffusion/pretrained", "*.onnx"),
        ("pretrained", "kdiffusion/pretrained", "README.md"),
    ):
        paths = [path for path in (ROOT / folder).rglob(files) if path.is_file()]
        names = {f"{place}/{path.relative_to(ROOT / folder).as_posix()}" for path in paths}
        assert {name for name in names if "__pycache__" not in name} <= held
        assert names


def test_in_a_checkout_no_class_exists_twice(checkout):
    where = _tell([sys.executable, "-c", TWINS], checkout)
    assert where == str(checkout / "kdiffusion" / "export" / "__init__.py")
    assert _tell([sys.executable, "-m", "kdiffusion", "sample", "--help"], checkout)


def test_from_a_wheel_no_class_exists_twice(wheel, make_environment, tmp_path):
    programs = make_environment(wheel)
    where = _tell([programs / "python", "-c", TWINS], tmp_path)
    assert where.endswith("site-packages/kdiffusion/export/__init__.py")
    _same_help(programs, tmp_path)


def test_from_an_editable_install_no_class_exists_twice(checkout, make_environment, tmp_path):
    programs = make_environment("--editable", checkout)
    for cwd in (tmp_path, checkout):
        where = _tell([programs / "python", "-c", TWINS], cwd)
        assert where.startswith(str(checkout))
    _same_help(programs, tmp_path)


def _same_help(programs, cwd):
    """The program and the module are one; `train` and `export` are among their commands."""
    for command in ("sample", "export", "train"):
        as_module = _tell([programs / "python", "-m", "kdiffusion", command, "--help"], cwd)
        as_program = _tell([programs / "kdiffusion", command, "--help"], cwd)
        assert as_program.startswith(f"usage: kdiffusion {command} ")
        assert as_module.startswith(f"usage: python -m kdiffusion {command} ")


# Runs a command where nothing is there but what the packages of the first argument bring.
WITH_THESE_ALONE = """
import importlib.metadata, re, sys

def plain(name):
    return re.sub("[-_.]+", "-", re.match(r"[\\w.-]+", name)[0]).lower()

there, left = set(), sys.argv.pop(1).split("|")
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
} - {"kdiffusion", "export"}
if __name__ == "__main__":  # not in its processes
    sys.meta_path.insert(0, Missing)
    from kdiffusion.__main__ import main
    main()
"""
NEED_MORE = {
    "train", "import", "export", "export_diffusers", "export_sampler", "hub",
}  # fmt: skip


@pytest.fixture
def with_the_base_alone(tmp_path):
    """`with_the_base_alone(*arguments)`: a command as after `pip install .`, in `tmp_path`."""
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    script = tmp_path / "script.py"
    script.write_text(WITH_THESE_ALONE)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, script, "|".join(base), *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_what_needs_no_tensorflow_needs_nothing_beside_the_package(command, with_the_base_alone):
    done = with_the_base_alone(command, "--help")
    if done.returncode:
        assert command in NEED_MORE
        assert "error: No module named" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_folder_is_packed_and_drawn_for_with_the_package_alone(with_the_base_alone, tmp_path):
    for name in ("light", "dark"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((8, 8, 3), 40 * number + 100 * (name == "light"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    for line in (
        "pack ./photos --image-size 8 --out packed",
        "sample digits --labels 3 --per-label 1 --out three.png",
        "likelihood digits --data ./photos",
        "evaluate ./photos --data ./photos --images 8 --measures copies",
    ):
        done = with_the_base_alone(*line.split())
        assert "No module named" not in done.stderr, done.stderr
        assert done.returncode == 0 or "error: `" in done.stderr, done.stderr
    assert (tmp_path / "packed").is_dir()
    assert (tmp_path / "three.png").is_file()
