import sys
import warnings

import pytest

from kdiffusion import terminal


def test_on_a_terminal_the_moving_line_goes_and_what_is_said_stays(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with terminal.working("thinking", line=True):
        terminal.say("stays")
    written = capsys.readouterr()
    assert "thinking ..." in written.err
    assert written.err.rpartition("\r")[2] == ""
    assert written.out.strip() == "stays"


def test_where_nobody_watches_there_is_no_moving_line(capsys):
    with terminal.working("thinking"):
        terminal.say("stays")
    with terminal.working("loading", line=True):
        pass
    assert capsys.readouterr() == ("stays\nloading ...\n", "")


def test_a_warning_is_a_line_for_the_reader(capsys):
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with terminal.plain_warnings():
            warnings.warn("too\n  warm", stacklevel=1)
    assert capsys.readouterr().err == "warning: too warm\n"
    assert warnings.showwarning is before


@pytest.mark.slow
def test_tensorflow_starts_without_a_word(run_python):
    program = "from kdiffusion.terminal import import_tensorflow; import_tensorflow()"
    done = run_python("-c", program, env={"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert (done.stdout, done.stderr) == ("", "")
