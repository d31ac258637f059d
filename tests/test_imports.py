"""Who may import whom: the direction of imports, and what each room needs installed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.commands import COMMANDS

ROOT = Path(__file__).parent.parent
LIBRARIES_BELOW = set(sys.stdlib_module_names) | {"numpy", "PIL", "tqdm"}

# room: (our rooms it may import, whether any library is fine)
ROOMS = {
    "kdiffusion/files.py": (set(), False),
    "kdiffusion/precision.py": (set(), True),
    "kdiffusion/terminal.py": (set(), False),
    "kdiffusion/tensorflow_start.py": (set(), True),
    "kdiffusion/diffusion": (
        {"kdiffusion.diffusion", "kdiffusion.card", "kdiffusion.images"},
        False,
    ),
    "kdiffusion/card.py": ({"kdiffusion.diffusion", "kdiffusion.images"}, False),
    "kdiffusion/images.py": (
        {"kdiffusion.diffusion", "kdiffusion.card", "kdiffusion.files"},
        False,
    ),
    "kdiffusion/models": (
        {"kdiffusion.models", "kdiffusion.diffusion", "kdiffusion.card", "kdiffusion.images"},
        True,
    ),
    "kdiffusion/data": ({"kdiffusion.data", "kdiffusion.images"}, True),
    "kdiffusion/evaluation": (
        {
            "kdiffusion.evaluation",
            "kdiffusion.diffusion",
            "kdiffusion.card",
            "kdiffusion.images",
            "kdiffusion.files",
        },
        True,
    ),
    "kdiffusion/judges": ({"kdiffusion.judges", "kdiffusion.precision"}, True),
    "kdiffusion/training": ({"kdiffusion"}, True),
    "kdiffusion/artifacts": (
        {
            "kdiffusion.artifacts",
            "kdiffusion.diffusion",
            "kdiffusion.card",
            "kdiffusion.tensorflow_start",
        },
        True,
    ),
    "kdiffusion/export": ({"kdiffusion.export"}, True),
    "export": ({"kdiffusion"}, True),
    "kdiffusion/commands": ({"kdiffusion"}, True),
    "kdiffusion/__main__.py": ({"kdiffusion.commands"}, True),
    "train.py": ({"kdiffusion.__main__"}, True),
}


def _files(room):
    path = ROOT / room
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _imports(path):
    """Absolute names of all modules that a file imports, wherever in it."""
    package = path.relative_to(ROOT).parent.parts
    if package[:1] == ("export",):
        package = ("kdiffusion", *package)  # the only name that it is imported by
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            yield ".".join([*base, *filter(None, [node.module])])


def _within(name, rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def test_every_file_of_the_package_is_in_a_room():
    in_rooms = {path for room in ROOMS for path in _files(room)}
    package = set((ROOT / "kdiffusion").rglob("*.py")) | set((ROOT / "export").rglob("*.py"))
    assert package - in_rooms == {ROOT / "kdiffusion/__init__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room):
    ours, any_library = ROOMS[room]
    for path in _files(room):
        for name in _imports(path):
            if name.split(".")[0] in ("kdiffusion", "export", "train"):
                assert _within(name, ours), f"{path.relative_to(ROOT)} imports {name}"
            else:
                assert any_library or name.split(".")[0] in LIBRARIES_BELOW, (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_imports_another(name):
    package, others = ROOT / "kdiffusion" / "commands", set(COMMANDS) - {name}
    for imported in _imports(package / f"{name}.py"):
        assert not _within(imported, {f"kdiffusion.commands.{other}" for other in others})
    helpers = {path.stem for path in package.glob("*.py")} - set(COMMANDS)
    for helper in helpers:
        for imported in _imports(package / f"{helper}.py"):
            assert not _within(imported, {f"kdiffusion.commands.{other}" for other in COMMANDS})


def test_only_export_and_the_command_import_training():
    for room in ("kdiffusion/models", "kdiffusion/data", "kdiffusion/evaluation"):
        for path in _files(room):
            assert not any(_within(name, {"kdiffusion.training"}) for name in _imports(path))


@pytest.mark.parametrize("file", ["layers.py", "blocks.py", "unet.py"])
def test_layers_and_networks_know_keras_but_not_tensorflow(file):
    assert not any(_within(n, {"tensorflow"}) for n in _imports(ROOT / "kdiffusion/models" / file))


@pytest.mark.parametrize(
    "statement",
    [
        "import kdiffusion",
        "from kdiffusion import sample, make_schedule, DenoiserCard",
        "import kdiffusion.artifacts, kdiffusion.export",
        "from kdiffusion.commands import train; train.parse(['digits', '--optimizer.epochs', '3'])",
    ],
)
def test_these_load_neither_tensorflow_nor_keras(statement):
    check = "import sys; assert not {'tensorflow', 'keras'} & set(sys.modules), 'loaded'"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; {check}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
