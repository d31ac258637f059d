"""Who may import whom: imports point down, and nothing in the core knows a part."""

import ast
import sys
from pathlib import Path

import pytest

from kdiffusion.commands import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "kdiffusion"

PARTS = {f"parts.{path.parent.name}" for path in PACKAGE.glob("parts/*/__init__.py")}
# Each line may import the lines above it. The single files of the package are the first.
CORE = (
    {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__", *PARTS},
    {"diffusion"},
    {"networks", "data"},
    {"training", "artifacts"},
    {"runs"},
    {"export"},
    {"commands"},
)
LEVEL = {name: level for level, names in enumerate((*CORE, PARTS)) for name in names}
BETWEEN_PARTS = {("parts.hub", "parts.web")}  # a Space of the Hub is the page


def _files(name):
    if name == "export":
        return sorted((ROOT / "export").rglob("*.py"))
    folder = PACKAGE.joinpath(*name.split("."))
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


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
            base = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_every_package_has_a_level():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set().union(*CORE[1:], {"parts"})
    assert len(PARTS) == 6


@pytest.mark.parametrize("name", sorted(LEVEL))
def test_imports_point_down(name):
    for path in _files(name):
        for imported in _imports(path):
            first, *rest = imported.split(".")
            assert first not in ("export", "train"), f"{path} imports {imported}"
            if first == "kdiffusion" and rest:
                other = ".".join(rest[: 2 if rest[0] == "parts" else 1])
                may = other == name or LEVEL.get(other, 0) < LEVEL[name]
                may = may or LEVEL[name] == 0 == LEVEL.get(other, 0)
                may = may or (name, other) in BETWEEN_PARTS
                assert may, f"{path.relative_to(ROOT)} imports {imported}"


@pytest.mark.parametrize(
    ("package", "libraries"), [("diffusion", {"numpy", "tqdm"}), ("networks", {"numpy", "keras"})]
)
def test_the_loop_needs_numpy_alone_and_networks_are_plain_keras(package, libraries):
    allowed = {*sys.stdlib_module_names, "kdiffusion", *libraries}
    for path in _files(package):
        assert {name.split(".")[0] for name in _imports(path)} <= allowed, path


def test_no_command_imports_another():
    package = PACKAGE / "commands"
    modules = (where.partition(":")[0] for where, _ in COMMANDS.values())
    commands = {f"kdiffusion.{module}" for module in modules if module.startswith("commands.")}
    for path in package.glob("*.py"):
        own = f"kdiffusion.commands.{path.stem}"
        assert not commands.intersection(_imports(path)) - {own}, path


def test_what_must_start_at_once_loads_none_of_the_slow_libraries(run_python):
    run_python("-c", """
import sys
from kdiffusion import sample, make_schedule, DenoiserCard
import kdiffusion.artifacts, kdiffusion.export.formats
from kdiffusion.commands import train
from kdiffusion.data import DATASETS, load_dataset
assert not {"tensorflow", "tensorflow_datasets", "keras", "sklearn"} & set(sys.modules)
""")  # fmt: skip
