"""`python -m export.sample ...` and its like: how commands were called once.

They work for one version more, in a checkout, where alone they ever did.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from typing import Any

from kdiffusion.commands import COMMANDS

RENAMED = {"sampler": "export_sampler"}


class FormerCommands:
    """Finds this file for a module of `export` that was a command, when no such file is there."""

    @staticmethod
    def find_spec(
        name: str, path: Any | None = None, target: Any | None = None
    ) -> ModuleSpec | None:
        package, _, command = name.rpartition(".")
        if package == "export" and RENAMED.get(command, command) in COMMANDS:
            return importlib.util.spec_from_file_location(name, __file__)
        return None


if __name__ == "__main__":
    from kdiffusion.__main__ import main

    former = __spec__.name.removeprefix("export.")
    name = RENAMED.get(former) or former
    print(f"`export.{former}` is now `python -m kdiffusion {name}`", file=sys.stderr)
    main([name, *sys.argv[1:]])
