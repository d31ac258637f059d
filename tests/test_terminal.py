import os
import pty
import subprocess
import sys
import termios
import warnings

from kdiffusion import terminal

ON_A_TERMINAL = """
from kdiffusion.terminal import moving_line, say, working
line = moving_line("first")
say("stays")
line.set_description_str("second")
line.close()
with working("thinking"):
    say("amid")
"""


def _on_a_terminal(program):
    """What a program writes to a terminal of 24 lines of 80 columns."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=its, stdout=its, stderr=its, env=environment
    ) as process:
        os.close(its)
        written = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux's end of a terminal
                break
            if not piece:
                break
            written += piece
        assert process.wait() == 0
    os.close(ours)
    return written.decode()


def _screen(written):
    """The lines that a terminal shows in the end, those of blanks left out."""
    lines = [[part for part in line.split("\r") if part][-1:] for line in written.split("\r\n")]
    return [line[0] for line in lines if line and line[0].strip()]


def test_on_a_terminal_the_moving_line_goes_and_what_is_said_stays():
    written = _on_a_terminal(ON_A_TERMINAL)
    assert all(text in written for text in ("first", "second", "thinking ..."))
    assert _screen(written) == ["stays", "amid"]


def test_where_nobody_watches_there_is_no_moving_line(capsys):
    with terminal.moving_line("moves"), terminal.working("thinking"):
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


def test_a_duration_has_the_unit_that_suits_it_and_one_thing_is_no_plural():
    said = {
        0.2: "0 s",
        99.6: "2 min",
        3600: "60 min",
        5999: "1.7 h",
        86400: "24.0 h",
        5e5: "6 days",
    }
    assert {seconds: terminal.duration(seconds) for seconds in said} == said
    assert [terminal.counted(number, "image") for number in (1, 2)] == ["1 image", "2 images"]
