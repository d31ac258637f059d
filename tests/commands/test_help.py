"""What each command says of itself, against the text that is committed: a change of it is seen.

`python tests/commands/test_help.py` writes the texts anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.commands import COMMANDS

ROOT = Path(__file__).parents[2]
TEXTS = Path(__file__).parent / "help"
# The other presets have the settings of `digits`, with other defaults.
NAMES = [*COMMANDS, "train digits"]


def _help(name):
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "kdiffusion", *name.split(), "--help"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def _path(name):
    return TEXTS / f"{name.replace(' ', '_')}.txt"


def _words(text):
    """Without frames and line breaks, which are the argument parser's affair."""
    return re.sub(r"[\s─-╿]+", " ", text)


@pytest.mark.parametrize("name", NAMES)
def test_help_is_what_is_committed(name):
    assert _words(_help(name)) == _words(_path(name).read_text(encoding="utf-8"))


def test_no_text_is_of_a_command_that_is_gone():
    assert {path.name for path in TEXTS.glob("*")} == {_path(name).name for name in NAMES}


if __name__ == "__main__":
    TEXTS.mkdir(exist_ok=True)
    for each in NAMES:
        _path(each).write_text(_help(each), encoding="utf-8")
