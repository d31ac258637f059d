"""What the commands of this folder share: arguments by tyro, and errors as one line."""

import os
import sys

import tyro


def run_command(command, module_name):
    """Runs a function as a command: its arguments are the options, its docstring the help.

    A mistake of the caller's ends the process with one line and status 2 when the arguments cannot
    be read (tyro), 1 when the command refuses them. Other exceptions are bugs and keep their trace.

    Args:
        command: function whose parameters are annotated.
        module_name: str. What comes after `python -m`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for the formats that load TensorFlow
    program = f"python -m {module_name.removesuffix('.__main__')}"
    try:
        tyro.cli(command, prog=program, config=(tyro.conf.FlagCreatePairsOff,))
    except (ValueError, OSError, ImportError) as error:
        print("error:", *str(error).split(), file=sys.stderr)  # on one line
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
