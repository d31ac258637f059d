"""`python -m kdiffusion COMMAND ...`, and `kdiffusion COMMAND ...` where it is installed."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from kdiffusion import __version__
from kdiffusion.commands import COMMANDS

FIRST = 5  # commands that the help shows above the others


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command by its name.

    Args:
        arguments: list of str: the command and its arguments. `sys.argv` if None.
    """
    script = Path(sys.argv[0]).name
    program = script if script in ("kdiffusion", "train.py") else "python -m kdiffusion"
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("--help", "-h"):
        print(_help(program))
        return
    if name == "--version":
        print(f"kdiffusion {__version__}")
        return
    name = name.replace("-", "_")  # `image-to-image` too
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"Did you mean {near[0]}?" if near else f"`{program} --help` lists the commands."
        print(f"error: unknown command {name}. {hint}", file=sys.stderr)
        sys.exit(2)
    from kdiffusion.commands.command_line import call, reporting_errors

    with reporting_errors():
        module, _, function = COMMANDS[name][0].partition(":")
        command = getattr(importlib.import_module(f"kdiffusion.{module}"), function)
        program = script if script == "train.py" else f"{program} {name}"
        if function == "run":
            command(rest, program)
        else:
            call(command, rest, program)


def _help(program):
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    first, more = "\n".join(rows[:FIRST]), "\n".join(rows[FIRST:])
    return (
        f"usage: {program} COMMAND ...\n\n{first}\n\n{more}\n\n"
        f"COMMAND --help shows the options of a command, --version the version."
    )


if __name__ == "__main__":
    main()
