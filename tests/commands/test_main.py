"""How the commands are called: by `python -m kdiffusion`, and by the spellings that lead there."""

import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.__main__ import main
from kdiffusion.commands import COMMANDS

ROOT = Path(__file__).parents[2]


def _python(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_command_it_lists_all(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        main(arguments)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines if line[:2] == "  "] == list(COMMANDS)
        assert max(map(len, lines)) <= 80


def test_a_command_that_is_none_is_refused_with_those_that_are(capsys):
    with pytest.raises(SystemExit) as end:
        main(["sampel"])
    assert end.value.code == 2
    assert "must be one of train, export" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name.replace("_", "-"), "--help"])
    assert end.value.code == 0
    assert f"kdiffusion {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (["train.py"], "train.py"),
        (["-m", "export"], "python -m kdiffusion export"),
        (["-m", "export.sample"], "python -m kdiffusion sample"),
        (["-m", "export.sampler"], "python -m kdiffusion export_sampler"),
    ],
)
def test_doors_lead_to_the_same_commands(former, now):
    done = _python(*former, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {now} ")
