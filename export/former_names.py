"""What `import export...` and `python -m export.sample ...` mean in a checkout.

A module of `export` is that of `kdiffusion.export`, so that no class exists twice. Commands were
called as modules of `export` once; that works for one version more.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from kdiffusion.commands import COMMANDS

RENAMED = {"sampler": "export_sampler"}


class FormerNames:
    """Finds the modules of `export`: this file for a former command, else those of the package."""

    @staticmethod
    def find_spec(
        name: str, path: Any | None = None, target: Any | None = None
    ) -> ModuleSpec | None:
        folder, _, last = name.partition(".")
        if folder != "export" or last in ("", "__main__"):
            return None
        if RENAMED.get(last, last) in COMMANDS:
            return importlib.util.spec_from_file_location(name, __file__)
        if importlib.util.find_spec(f"kdiffusion.{name}") is None:
            return None
        return ModuleSpec(name, _OfThePackage())


class _OfThePackage(Loader):
    """Puts the package's module in the place of the one that was asked for."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        sys.modules[name] = importlib.import_module(f"kdiffusion.{name}")


if __name__ == "__main__":
    from kdiffusion.__main__ import main

    former = __spec__.name.removeprefix("export.")
    name = RENAMED.get(former) or former
    print(f"`export.{former}` is now `python -m kdiffusion {name}`", file=sys.stderr)
    main([name, *sys.argv[1:]])
