import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kdiffusion.runs.interruptions import catching_signals

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
    error = process.communicate(timeout=30)[1]
    assert process.returncode == -signal.SIGINT
    assert "Ctrl-C again" in error
    assert "Traceback" not in error


TERM_GOES_FIRST = """
import os, signal, time
from kdiffusion.runs.interruptions import Preempted, StoppedByUser, catching_signals

def wait_until(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()

signal.signal(signal.SIGINT, signal.default_int_handler)
before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
with catching_signals() as what_came:
    assert what_came() is None
    os.kill(os.getpid(), signal.SIGINT)
    assert wait_until(lambda: what_came() is StoppedByUser)
    os.kill(os.getpid(), signal.SIGTERM)
    assert wait_until(lambda: what_came() is Preempted)
assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
"""

IGNORES = """
import os, signal
from kdiffusion.runs.interruptions import catching_signals

signal.signal(signal.SIGINT, signal.SIG_IGN)
with catching_signals() as what_came:
    os.kill(os.getpid(), signal.SIGINT)
    assert what_came() is None
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
"""


@pytest.mark.parametrize("script", [TERM_GOES_FIRST, IGNORES])
def test_sigterm_goes_before_ctrl_c_and_what_was_set_before_comes_back(script, run_python):
    # A process of its own: a signal that were not caught would take the tests with it.
    run_python("-c", script)


def test_another_thread_catches_nothing():
    found = []

    def enter():
        with catching_signals() as what_came:
            found.append(what_came())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [None]
