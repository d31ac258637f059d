"""How the commands are called: by `python -m kdiffusion`, and by the spellings that lead there."""

import re

import pytest

from kdiffusion.__main__ import FIRST, main, reporting_errors
from kdiffusion.artifacts import released_models
from kdiffusion.commands import COMMANDS


def _refused(capsys, *arguments):
    """(status, what is said) of a command that fails."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    if isinstance(ended.value.code, str):  # the interpreter prints it, and ends with 1
        return 1, ended.value.code
    return ended.value.code, capsys.readouterr().err


def test_without_a_command_it_lists_all_and_five_first(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        main(arguments)
        text = capsys.readouterr().out
        assert re.findall(r"^  (\w+) ", text, re.MULTILINE) == list(COMMANDS)
        assert max(map(len, text.splitlines())) <= 80
        assert len(text.split("\n\n")[1].splitlines()) == FIRST == 5


def test_it_has_a_version(capsys):
    main(["--version"])
    assert re.fullmatch(r"kdiffusion \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "said"),
    [("smaple", "Did you mean sample?"), ("image-to-imag", "image_to_image"), ("x", "--help")],
)
def test_an_unknown_command_gets_a_suggestion(name, said, capsys):
    status, error = _refused(capsys, name)
    assert status == 2
    assert said in error
    assert len(error.splitlines()) == 1


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


def test_a_model_that_is_not_there_is_one_line_with_those_that_are(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, word in (("sample", "cifar11"), ("web", "./digits")):
        status, error = _refused(capsys, name, word)
        assert status == 1
        assert "model" in error
        assert ", ".join(released_models()) in error
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("`steps`\nis"), "error: `steps` is"),
        (MemoryError("of an\narray"), "error: not enough memory: of an array"),
        (ModuleNotFoundError("No module 'sklearn'"), "'sklearn'. In a checkout, `pip install"),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_mistake_is_one_line(error, status):
    with pytest.raises(SystemExit) as ended, reporting_errors():
        raise error
    code = ended.value.code
    assert code == status if isinstance(status, int) else status in code
    assert "\n" not in str(code)


def test_a_bug_keeps_its_trace():
    with pytest.raises(KeyError), reporting_errors():
        raise KeyError("bug")
