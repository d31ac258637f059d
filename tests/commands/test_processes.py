"""Several processes of one command: each has its GPU and its part; what is lost is said."""

import contextlib
import functools
import os
import re
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from kdiffusion.commands.drawn_files import image_bar, read_folder
from kdiffusion.commands.processes import run_in_processes, visible_gpus
from kdiffusion.commands.sample import main
from kdiffusion.commands.sampling_flags import SamplingFlags


@pytest.mark.parametrize(
    ("value", "gpus"),
    [("0,1", ["0", "1"]), ("3", ["3"]), ("", []), ("-1", []), ("1,-1,2", ["1"]),
     ("GPU-8932f937, MIG-1", ["GPU-8932f937", "MIG-1"])],
)  # fmt: skip
def test_the_gpus_that_are_named(monkeypatch, value, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == gpus


def test_the_gpus_that_nvidia_smi_lists(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0\necho 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert visible_gpus() == ["0", "1"]
    program.write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert visible_gpus() == []


def _note(folder, number):
    (folder / str(number)).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))


@pytest.mark.slow
@pytest.mark.parametrize(("visible", "expected"), [("4,7", ["4", "7", "4"]), (None, ["none"] * 3)])
def test_each_process_sees_one_gpu(monkeypatch, tmp_path, visible, expected):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    statuses = run_in_processes(functools.partial(_note, tmp_path), 3, lambda: None)
    assert statuses == [0, 0, 0]
    assert [(tmp_path / str(number)).read_text() for number in range(3)] == expected
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


def _end(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 2:
        raise ValueError("a mistake")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_how_each_process_ended_is_told():
    assert run_in_processes(_end, 3, lambda: None) == [0, -signal.SIGKILL, 1]


@pytest.mark.slow
def test_three_processes_draw_what_one_draws(toy, tmp_path):
    many = {"seeds": "3:33", "images_per_file": 4}
    main(toy, out=tmp_path / "one", **many)
    main(toy, out=tmp_path / "three", processes=3, arr_0=tmp_path / "set.npz", **many)
    main(toy, out=tmp_path / "part", processes=2, shard="2/3", **many)
    one, three = ([*read_folder(tmp_path / name)] for name in ("one", "three"))
    assert len(one) == len(three) == 8
    for ours, alone in zip(three, one, strict=True):
        for part, other in zip(ours, alone, strict=True):
            np.testing.assert_array_equal(part, other)
    assert [int(seeds[0]) for _, _, seeds in read_folder(tmp_path / "part")] == [7, 19, 31]
    with np.load(tmp_path / "set.npz") as arrays:
        assert arrays["arr_0"].shape[0] == 30


def test_processes_that_refuse_what_is_there_end_the_command(toy, tmp_path):
    many = {"seeds": "0:4", "images_per_file": 2, "out": tmp_path / "many"}
    main(toy, labels=("0",), **many)
    with pytest.raises(ValueError, match=r"2 did not end well: 0 \(status 1\), 1 \(status 1\)"):
        main(toy, labels=("1",), processes=2, arr_0=tmp_path / "ones.npz", **many)
    assert not (tmp_path / "ones.npz").exists()


@pytest.mark.parametrize(
    "mistake", [{"labels": ("zebra",)}, {"sampling": SamplingFlags(steps=5000)}]
)
def test_a_mistake_is_said_once(toy, tmp_path, capfd, mistake):
    with pytest.raises(SystemExit):
        main(toy, seeds="0:4", images_per_file=2, out=tmp_path / "many", processes=2, **mistake)
    assert capfd.readouterr().err.count("error:") == 1


def test_the_bar_of_an_overwriting_counts_what_is_drawn_now(toy, tmp_path, monkeypatch):
    many = {"seeds": "0:8", "images_per_file": 2, "out": tmp_path / "many"}
    main(toy, **many)
    bars, counts = [], []

    def bar_that_is_seen(*arguments, **options):
        bars.append(image_bar(*arguments, **options))
        return bars[-1]

    def one_after_another(work, count, watch):
        for number in range(count):
            watch()
            counts.extend(bar.n for bar in bars)
            work(number)
        return [0] * count

    monkeypatch.setattr("kdiffusion.commands.sample.image_bar", bar_that_is_seen)
    monkeypatch.setattr("kdiffusion.commands.sample.run_in_processes", one_after_another)
    main(toy, processes=2, overwrite=True, **many)
    assert counts == [0, 4]


def _children(number):
    with open(f"/proc/{number}/task/{number}/children") as file:
        return file.read().split()


def _kill_one(command):
    """Starts a command, kills one of its processes and waits; gives status and what it said."""
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    children, deadline = [], time.monotonic() + 60
    while len(children) < 2:  # the second is begun when the first has been told what to do
        children = []
        assert process.poll() is None
        assert time.monotonic() < deadline
        for child in _children(process.pid):
            # Gone, where it was nvidia-smi; beside the workers, Python has one of its own.
            with contextlib.suppress(OSError), open(f"/proc/{child}/cmdline") as file:
                children += [int(child)] if "spawn_main" in file.read() else []
    os.kill(children[0], signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_is_lost_is_said_and_with_claims_made_up_for(toy, tmp_path):
    command = [sys.executable, "-m", "kdiffusion", "sample", toy, "--seeds", "0:40"]
    command += ["--images-per-file", "4", "--processes", "2"]
    status, said = _kill_one([*command, "--out", tmp_path / "alone"])
    assert status == 1
    assert "error: Of 2 processes, 1 did not end well: 0 (status -9)" in said
    assert re.search(r"lacks \d of 10 files: images_000000\d\d-", said)
    status, said = _kill_one([*command, "--claim", "--out", tmp_path / "claimed"])
    assert status == 0
    assert "warning: Of 2 processes, 1 did not end well: 0 (status -9). The others drew" in said
    assert sum(len(seeds) for _, _, seeds in read_folder(tmp_path / "claimed")) == 40


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_command_that_is_killed_leaves_no_process(toy, tmp_path):
    command = [sys.executable, "-m", "kdiffusion", "sample", str(toy), "--seeds", "0:1000000"]
    command += ["--processes", "2", "--out", str(tmp_path / "many")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline, children = time.monotonic() + 60, []
    while len(children) < 2 or not list((tmp_path / "many").glob("images*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
        children = _children(process.pid)
    process.kill()
    process.wait()
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_is_said_once(toy, tmp_path):
    command = [sys.executable, "-m", "kdiffusion", "sample", str(toy), "--seeds", "0:1000000"]
    command += ["--processes", "2", "--out", str(tmp_path / "many")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "many").glob("images*"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = _children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of its processes
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted: by Ctrl-C"
    assert said.count("interrupted") == 1
    assert "Traceback" not in said
    assert "resource_tracker" not in said
    assert not any(os.path.exists(f"/proc/{child}/exe") for child in children)


def test_no_process_at_all_is_refused(toy, tmp_path):
    with pytest.raises(ValueError, match="`processes` must be a whole number of at least 1"):
        main(toy, seeds="0:4", out=tmp_path / "none", processes=0)
