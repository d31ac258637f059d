"""`python -m kdiffusion COMMAND ...`, and `kdiffusion COMMAND ...` where it is installed.

Arguments are read by tyro, and errors are one line.
"""

import contextlib
import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import tyro

from kdiffusion import __version__
from kdiffusion.commands import COMMANDS
from kdiffusion.terminal import plain_warnings

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
    with reporting_errors():
        command = resolve_name(f"kdiffusion.{COMMANDS[name][0]}")
        program = script if script == "train.py" else f"{program} {name}"
        if command.__name__ == "run":
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


# Module ► the extra of pyproject.toml that installs it, if not train.
EXTRAS = {"huggingface_hub": "hub", "pyarrow": "many_images", "ai_edge_litert": "litert"}
ENDED_BY_SIGPIPE = 128 + 13  # as a shell has it, of a program that prints to a reader that has gone


def call(command: Callable[..., Any], arguments: Sequence[str], program: str) -> Any:
    """Calls a function by command line: its parameters are the options, its docstring the help.

    Args:
        command: function whose parameters are annotated.
        arguments: list of str.
        program: str. How the command is called, for the help.
    """
    # tyro would keep the source's line breaks within the help of an option.
    command.__doc__ = re.sub(r"\n {8,}", " ", inspect.getdoc(command) or "")
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone, tyro.conf.OmitArgPrefixes)
    return tyro.cli(command, args=arguments, prog=program, config=config)


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Ends the process with one line for a mistake of the caller's, and status 1.

    So do a full disk, too little memory and a loss that is not a number. Other exceptions keep
    their trace.
    """
    # Nothing that a user of a command could act on is in TensorFlow's start-up notices.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with plain_warnings():
            yield
        sys.stdout.flush()
    except BrokenPipeError:  # as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ENDED_BY_SIGPIPE)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0], "train")
        sys.exit(f"error: {error}. In a checkout, `pip install -e '.[{extra}]'` installs it")
    except MemoryError as error:
        sys.exit(f"error: not enough memory: {' '.join(str(error).split())}")
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        sys.exit(f"error: {' '.join(_said(error).split())}")
    except KeyboardInterrupt:
        print("interrupted by Ctrl-C", file=sys.stderr)
        sys.exit(130)


def _said(error):
    """An error's message; of pydantic's, which lists several with their inputs, the sentences."""
    if not hasattr(error, "errors"):
        return str(error)
    where = (".".join(map(str, each["loc"])) for each in error.errors())
    sentences = (each["msg"].removeprefix("Value error, ") for each in error.errors())
    return "; ".join(": ".join(filter(None, pair)) for pair in zip(where, sentences, strict=True))


if __name__ == "__main__":
    main()
