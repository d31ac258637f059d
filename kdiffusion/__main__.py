"""`python -m kdiffusion COMMAND ...`, and `kdiffusion COMMAND ...` where it is installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from kdiffusion.commands import COMMANDS


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command by its name.

    Args:
        arguments: list of str: the command, then what it is given. `sys.argv` if None.
    """
    script = Path(sys.argv[0]).name
    program = script if script in ("kdiffusion", "train.py") else "python -m kdiffusion"
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    name = name.replace("-", "_")  # `image-to-image` too
    if name in ("__help", "_h"):
        print(_help(program))
        return
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(f"error: the command must be one of {known}. Received: {name}", file=sys.stderr)
        sys.exit(2)
    from kdiffusion.commands.command_line import call, reporting_errors

    with reporting_errors():
        command = importlib.import_module(COMMANDS[name][0])
        program = script if script == "train.py" else f"{program} {name}"
        if hasattr(command, "run"):
            command.run(rest, program)
        else:
            call(command.main, rest, program)


def _help(program):
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items())
    return f"usage: {program} COMMAND ...\n\n{rows}\n\n{program} COMMAND --help tells the options."


if __name__ == "__main__":
    main()
