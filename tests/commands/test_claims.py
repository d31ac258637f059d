"""Claims: one of many wins, a living worker keeps its own, and what a killed one held is taken."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from kdiffusion.commands.claims import Claims

LEASE = 3.0  # seconds; on a machine that is busy a worker may be late by one

_RACER = """
import os, sys, time
from kdiffusion.commands.claims import Claims

folder, start, lease = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
claims = Claims(folder, lease)
time.sleep(max(0.0, start - time.time()))
won = []
for number in range(200):
    with claims.hold(f"file{number}") as is_held:
        path = f"{folder}/file{number}"
        if is_held and not os.path.exists(path):
            won.append(number)
            open(f"{path}.working", "x").close()  # fails if another is at it
            time.sleep(0.001)
            if "forever" in sys.argv:
                print("held", flush=True)
                time.sleep(1000)
            os.rename(f"{path}.working", path)
print(*won)
"""


def _worker(folder, *arguments, start=0.0):
    command = [sys.executable, "-c", _RACER, str(folder), str(start), "30", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_one_claim_is_held_once_and_free_again_afterwards(tmp_path):
    one, other = Claims(tmp_path), Claims(tmp_path)
    with one.hold("file") as first, other.hold("file") as second, other.hold("more") as third:
        assert (first, second, third) == (True, False, True)
        (name,) = [name for name in os.listdir(tmp_path) if "file" in name]
        assert str(os.getpid()) in (tmp_path / name).read_text()
    assert os.listdir(tmp_path) == []
    with other.hold("file") as again:
        assert again


def test_a_claim_goes_with_an_error(tmp_path):
    claims = Claims(tmp_path)
    with contextlib.suppress(KeyboardInterrupt), claims.hold("file"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_living_worker_keeps_its_claim_for_longer_than_the_lease(tmp_path):
    one, other = Claims(tmp_path, LEASE), Claims(tmp_path, LEASE)
    with one.hold("file") as is_held:
        assert is_held
        end = time.monotonic() + 2 * LEASE
        while time.monotonic() < end:
            with other.hold("file") as is_held_too:
                assert not is_held_too
            time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_that_race_for_the_same_claims_share_them(tmp_path):
    """Each makes a file under its claim that only one can make: a second at it would fail."""
    start = time.time() + 4.0  # when both have imported what they need
    workers = [_worker(tmp_path, start=start) for _ in range(2)]
    won = [set(worker.communicate(timeout=60)[0].split()) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert won[0] | won[1] == {str(number) for number in range(200)}
    assert not won[0] & won[1]
    assert all(won)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_what_a_killed_worker_held_is_taken_over_by_one_of_many(tmp_path):
    worker = _worker(tmp_path, "forever")
    assert worker.stdout.readline() == "held\n"
    claims = [Claims(tmp_path, LEASE) for _ in range(8)]
    with claims[0].hold("file0") as is_held:
        assert not is_held
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    lost, took = time.monotonic(), []
    start, end = threading.Barrier(len(claims)), threading.Event()

    def take(claim):
        start.wait()
        while not end.is_set():
            with claim.hold("file0") as is_held:
                # Not one who looked for the end before it came, and took what was free by then.
                if is_held and not end.is_set():
                    took.append(time.monotonic() - lost)
                    end.wait(2 * LEASE)  # for the others to try
                    end.set()
            time.sleep(0.002)

    threads = [threading.Thread(target=take, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 1
    assert os.listdir(tmp_path) == ["file0.working"]  # the claims of the lost one are gone, too


def test_the_successor_of_a_successor(tmp_path):
    """Two workers that were lost one after another: the third waits for the second's lease."""
    for generation in (0, 1):
        (tmp_path / f".file.{generation}.claim").touch()
    claims, start = Claims(tmp_path, 0.2), time.monotonic()
    while True:
        with claims.hold("file") as is_held:
            if is_held:
                break
        assert time.monotonic() - start < 60
        time.sleep(0.01)
    assert time.monotonic() - start > 0.4
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("lease", [0.0, -1.0, float("nan")])
def test_a_lease_that_cannot_be_is_refused(tmp_path, lease):
    with pytest.raises(ValueError, match="`lease_seconds` must be above 0"):
        Claims(tmp_path, lease)
