"""Who may import whom: the direction of imports, and what each room needs installed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.commands import COMMANDS

ROOT = Path(__file__).parent.parent
LIBRARIES_BELOW = set(sys.stdlib_module_names) | {"numpy", "PIL", "tqdm"}

BASE = {
    "checks",
    "files",
    "images",
    "object_store",
    "onnx_session",
    "precision",
    "terminal",
    "tensorflow_start",
}
ABOVE_DIFFUSION = BASE | {"diffusion"}
CORE = ABOVE_DIFFUSION | {"networks", "training", "data", "artifacts", "runs", "export", "commands"}
# Each imports the core, and is found through a row of a table of the core.
PARTS = ("diffusers", "evaluation", "hub", "many_images", "packing", "web")
# room: (our other rooms that it may import, whether any library is fine). Whole folders.
ROOMS = {
    "checks.py": (set(), False),
    "files.py": ({"checks"}, False),
    "images.py": ({"checks", "files"}, False),
    "object_store.py": ({"terminal"}, True),
    "onnx_session.py": (set(), True),
    "precision.py": (set(), True),
    "terminal.py": (set(), False),
    "tensorflow_start.py": (set(), True),
    "diffusion": ({"checks", "files", "images"}, False),
    "networks": ({"checks", "diffusion"}, True),
    "data": (BASE, True),
    # A file of weights alone has no graph: opening it builds the network.
    "artifacts": (ABOVE_DIFFUSION | {"networks"}, True),
    "training": (ABOVE_DIFFUSION | {"networks"}, True),
    "runs": (ABOVE_DIFFUSION | {"networks", "training", "data", "artifacts"}, True),
    "export": (ABOVE_DIFFUSION | {"networks", "training", "data", "artifacts", "runs"}, True),
    "commands": (
        ABOVE_DIFFUSION | {"networks", "training", "data", "artifacts", "runs", "export"},
        True,
    ),
    **dict.fromkeys(PARTS, (CORE, True)),
    "hub": (CORE | {"web"}, True),  # a Space is the page
    "__main__.py": ({"commands"}, False),
}
# Where the room `export` lies, and the door to it in a checkout.
EXPORT = (ROOT / "export", ROOT / "kdiffusion" / "export")


def _files(room):
    folders = EXPORT if room == "export" else [ROOT / "kdiffusion" / room]
    return [
        file
        for path in folders
        for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))
    ]


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
    others, any_library = ROOMS[room]
    ours = {f"kdiffusion.{name}" for name in (*others, room.removesuffix(".py"))}
    doors = {"kdiffusion.commands", "kdiffusion.__main__"}
    for path in _files(room):
        is_door = path.name == "__main__.py"
        for name in _imports(path):
            if name.split(".")[0] in ("kdiffusion", "export", "train"):
                allowed = _within(name, ours) or (is_door and _within(name, doors))
                assert allowed, f"{path.relative_to(ROOT)} imports {name}"
            else:
                assert any_library or name.split(".")[0] in LIBRARIES_BELOW, (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


def test_no_command_imports_another():
    modules = {module for module, _ in COMMANDS.values()}
    sources = {path for name in COMMANDS for path in _beside(name)}
    for path in sources:
        own = f"kdiffusion.{path.relative_to(ROOT / 'kdiffusion').with_suffix('')}".replace(
            "/", "."
        )
        for imported in _imports(path):
            assert not _within(imported, modules - {own}), f"{path} imports {imported}"


def _beside(command):
    """The modules in the folder of a command."""
    module, _ = COMMANDS[command]
    return (ROOT / module.rpartition(".")[0].replace(".", "/")).glob("*.py")


def test_networks_know_keras_but_not_tensorflow():
    for path in _files("networks"):
        assert not any(_within(name, {"tensorflow"}) for name in _imports(path)), path


def test_images_are_measured_without_keras():
    for path in _files("evaluation"):
        if path.name != "in_training.py":
            assert not any(_within(name, {"tensorflow", "keras"}) for name in _imports(path)), path


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
