"""How the commands are called: by `python -m kdiffusion`, and by the spellings that lead there."""

import re

import pytest

from kdiffusion.__main__ import FIRST, main, reporting_errors
from kdiffusion.artifacts.released import released_models
from kdiffusion.commands import COMMANDS


def test_without_a_command_it_lists_all_and_five_first(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        main(arguments)
        text = capsys.readouterr().out
        assert re.findall(r"^  (\w+) ", text, re.MULTILINE) == list(COMMANDS)
        assert max(map(len, text.splitlines())) <= 80
        assert len(text.split("\n\n")[1].splitlines()) == FIRST == 5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_names_each_option_once(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main([name.replace("_", "-"), "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"kdiffusion {name}" in text
    lines = [line for line in text.splitlines() if re.match("[│ ] ", line)]  # in frames
    assert max(map(len, lines), default=0) <= 80 or name == "train"
    options = re.findall(r"^[│ ] (--\w[\w.-]*)", text, re.MULTILINE)
    assert len(options) == len(set(options))
    assert options or name in ("train", "models")


def test_the_released_models_are_listed(capsys):
    main(["models"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*released_models()]
    assert "8x8 pixels" in lines[-1]


@pytest.mark.parametrize(
    "error",
    [ValueError("a\nb"), MemoryError("a\nb"), ModuleNotFoundError("a"), KeyboardInterrupt()],
)
def test_a_mistake_is_one_line_and_a_bug_keeps_its_trace(error):
    with pytest.raises(SystemExit) as ended, reporting_errors():
        raise error
    assert "\n" not in str(ended.value.code)
    with pytest.raises(KeyError), reporting_errors():
        raise KeyError("bug")
