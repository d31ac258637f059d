import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.runs.interruptions import Preempted, StoppedByUser, catching_signals

ROOT = Path(__file__).parent.parent.parent

WAITS = """
import signal, time
from kdiffusion.runs.interruptions import catching_signals
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever this process inherited
with catching_signals() as what_came:
    print("ready", flush=True)
    while what_came() is None:
        time.sleep(0.01)
    print(what_came().__name__, flush=True)
    time.sleep(60)
"""


def test_a_first_ctrl_c_is_told_and_a_second_ends_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "StoppedByUser\n"
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=30)[1]
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_goes_before_ctrl_c_and_what_was_set_before_comes_back(handler):
    inherited = signal.signal(signal.SIGINT, handler)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with catching_signals() as what_came:
            signal.raise_signal(signal.SIGINT)
            assert what_came() is (StoppedByUser if handler != signal.SIG_IGN else None)
            signal.raise_signal(signal.SIGTERM)
            assert what_came() is Preempted
        assert signal.getsignal(signal.SIGINT) == handler
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGINT, inherited)
