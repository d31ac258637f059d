"""What all commands share: arguments by tyro, and errors as one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tyro

from kdiffusion.terminal import plain_warnings

# What a command may need by itself, beside what drawing installs: modules and their packages.
PACKAGES = {
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets tensorflow",
    "pyarrow": "pyarrow",
}

ENDED_BY_SIGPIPE = 128 + 13  # as a shell has it, of a program that prints to a reader that has gone


def run_command(command: Callable[..., None], module_name: str) -> None:
    """Runs a function as the command of a module: `call` where errors are reported.

    Args:
        command: function whose parameters are annotated.
        module_name: str. What comes after `python -m`.
    """
    with reporting_errors():
        call(command, sys.argv[1:], f"python -m {module_name}")


def call(command: Callable[..., Any], arguments: Sequence[str] | None, program: str) -> Any:
    """Calls a function by command line: its arguments are the options, its docstring the help.

    Args:
        command: function whose parameters are annotated.
        arguments: list of str.
        program: str. How the command is called, for the help.
    """
    tyro.cli(command, args=arguments, prog=program, config=(tyro.conf.FlagCreatePairsOff,))


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Ends the process with one line for a mistake of the caller's, and status 1.

    So do a full disk, too little memory and a loss that is not a number. Arguments that cannot be
    read end it with status 2 (tyro). Other exceptions are bugs, and keep their trace.
    """
    # Nothing that a user of a command could act on is in TensorFlow's start-up notices.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with plain_warnings():
            yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        if _is_heard():  # another pipe's or a connection's
            _end_by(error)
        sys.exit(ENDED_BY_SIGPIPE)
    except ModuleNotFoundError as error:
        package = PACKAGES.get((error.name or "").split(".")[0])
        said = (
            f"this needs {package}, which `pip install {package}` installs"
            if package
            else f"{error}. In a checkout of kdiffusion, `pip install '.[train]'` installs what "
            "training and exporting need, `pip install .` what drawing does"
        )
        print(f"error: {said}", file=sys.stderr)
        sys.exit(1)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        _end_by(error)
    except MemoryError as error:
        print("error: not enough memory:", *str(error).split(), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: by Ctrl-C", file=sys.stderr)
        sys.exit(130)


def _end_by(error):
    print("error:", *str(error).split(), file=sys.stderr)  # on one line
    sys.exit(1)


def _is_heard():
    """Whether somebody still reads what is printed; if not, as after `| head`, it goes nowhere."""
    try:
        print(flush=True)  # what could not be written was let go: only something new can tell
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
