"""Types: every public function says what it takes and gives, and pyright finds no contradiction.

What samplers take and give is in the head of their module, once for all.
"""

import ast
import shutil
import sys
from pathlib import Path

import pytest

import kdiffusion
from kdiffusion.diffusion.samplers import SAMPLERS

ROOT = Path(__file__).parents[1]
STEPS = {row.step.__name__ for row in SAMPLERS.values()}


def _without_types(tree):
    """(line, name) of each public function that leaves the type of something open."""
    for node in ast.iter_child_nodes(tree):
        name = getattr(node, "name", "")
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from _without_types(node)
        elif isinstance(node, ast.FunctionDef):
            given = node.args
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            arguments += filter(None, [given.vararg, given.kwarg])
            typed = all(a.annotation or a.arg in ("self", "cls") for a in arguments)
            if not typed or (node.returns is None and name != "__init__"):
                yield node.lineno, name


def test_every_public_function_is_annotated():
    open_types = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for room in ("kdiffusion", "export")
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, name in _without_types(ast.parse(path.read_text(encoding="utf-8")))
        if name not in STEPS
    ]
    assert open_types == []


def test_every_public_name_is_there():
    assert all(getattr(kdiffusion, name).__module__ for name in kdiffusion.__all__)


@pytest.mark.slow
def test_pyright_finds_nothing_in_what_is_shipped(tmp_path, run_python):
    # As a wheel has it, with `export/` in its place.
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "kdiffusion", tmp_path / "kdiffusion")
    shutil.rmtree(tmp_path / "kdiffusion" / "export")
    shutil.copytree(ROOT / "export", tmp_path / "kdiffusion" / "export")
    environment = {"PYTHONPATH": "", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    arguments = ["--warnings", "--pythonpath", sys.executable]
    run_python("-m", "pyright", *arguments, cwd=tmp_path, env=environment)
