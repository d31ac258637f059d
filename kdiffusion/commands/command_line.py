"""How a command is called: arguments by tyro, and errors as one line."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tyro

from kdiffusion.terminal import plain_warnings

# What a command may need beside what sampling installs: modules and their packages.
PACKAGES = {
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets tensorflow",
    "pyarrow": "pyarrow",
    "huggingface_hub": "huggingface_hub",
    "webdataset": "webdataset",
    "ai_edge_litert": "ai-edge-litert",
}

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
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
    return tyro.cli(command, args=arguments, prog=program, config=config)


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Ends the process with one line for a mistake of the caller's, and status 1.

    So do a full disk, too little memory and a loss that is not a number. Other exceptions are bugs,
    and keep their trace.
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
        package = PACKAGES.get((error.name or "").split(".")[0])
        sys.exit(
            f"error: {error}. `pip install {package}` installs it"
            if package
            else f"error: {error}. Training and exporting need "
            "`pip install '.[train]'` in a checkout of kdiffusion, sampling `pip install .`"
        )
    except MemoryError as error:
        sys.exit(f"error: not enough memory: {' '.join(str(error).split())}")
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        print("interrupted by Ctrl-C", file=sys.stderr)
        sys.exit(130)
