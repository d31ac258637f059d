"""A run at a URL: killed on one machine, it goes on on another."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from kdiffusion import load_denoiser
from kdiffusion.__main__ import main
from kdiffusion.export import export_run
from kdiffusion.object_store import download, downloaded
from kdiffusion.runs import Config, train
from kdiffusion.runs.remote_run import RunCopy, run_copy

ROOT = Path(__file__).parent.parent.parent
BUCKET = "kdiffusion"


def _put(copy, name, text):
    (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (copy.folder / name).write_text(text)


def test_the_url_has_what_the_folder_has_and_what_others_added(tmp_path):
    url = f"memory://{tmp_path.name}/run"
    system, root = fsspec.url_to_fs(url)
    copy = RunCopy(url)
    for name in ("config.json", "checkpoints/step_00000004/state.npz", "run.lock"):
        _put(copy, name, "old")
    _put(copy, "checkpoints/step_00000005.partial/state.npz", "half")
    copy.send()
    system.pipe_file(f"{root}/notes.txt", b"theirs")
    _put(copy, "config.json", "newer")
    (copy.folder / "checkpoints/step_00000004/state.npz").unlink()
    copy.send()
    there = {name.removeprefix(root).lstrip("/"): system.cat(name) for name in system.find(root)}
    assert there == {"config.json": b"newer", "notes.txt": b"theirs"}
    assert (RunCopy(url).folder / "config.json").read_text() == "newer"


def test_a_store_that_is_away_costs_a_warning_and_the_copy_stays(tmp_path, monkeypatch):
    url = f"memory://{tmp_path.name}/run"
    copy = RunCopy(url)
    _put(copy, "config.json", "{}")
    system, _ = fsspec.url_to_fs(url)
    with monkeypatch.context() as patch:
        patch.setattr(type(system), "put_file", lambda *_, **__: 1 / 0)
        with pytest.warns(UserWarning, match="is not copied to memory://.*ZeroDivisionError"):
            copy.send_checkpoint()
        copy._remove()
    assert copy.folder.exists()
    copy.send()
    copy._remove()
    assert not copy.folder.exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, monkeypatch):
    url = f"memory://{tmp_path.name}/run"
    system, root = fsspec.url_to_fs(url)
    monkeypatch.setattr(type(system), "find", lambda *_, **__: [f"{root}/a/../../out"])
    with pytest.raises(ValueError, match=r"leads out of its folder: a/\.\./\.\./out"):
        download(url, tmp_path / "here")


def test_nothing_at_a_url_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing does not exist"):
        downloaded(f"memory://{tmp_path.name}/nothing")


SCRIPT = """
import sys
from kdiffusion.runs import Config, train
train(Config.from_json(open(sys.argv[1]).read()), sys.argv[2], resume=True)
"""


@pytest.mark.slow
def test_a_run_in_s3_is_killed_and_goes_on_on_another_machine(s3, tiny, last_checkpoint, tmp_path):
    config = tiny(optimizer={"epochs": 20}, run={"checkpoint_every_epochs": 4})
    file, url = tmp_path / "config.json", f"s3://{BUCKET}/killed"
    file.write_text(config.to_json())

    def start(machine):
        (tmp_path / machine).mkdir()
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(file), url],
            cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path / machine)},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    process = start("first")
    while not s3.exists(f"{BUCKET}/killed/checkpoints/step_00000024/record.json"):
        s3.invalidate_cache()
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not s3.exists(f"{BUCKET}/killed/checkpoints/step_00000120")
    process = start("second")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert not list((tmp_path / "second").glob("kdiffusion-run-*"))
    here = downloaded(url)
    train(config, tmp_path / "whole")
    assert last_checkpoint(here) == last_checkpoint(tmp_path / "whole")
    assert Config.from_json(file.read_text()) == config


@pytest.mark.slow
def test_a_url_serves_wherever_a_run_or_a_file_does(s3, tiny, tmp_path, capsys):
    url = f"s3://{BUCKET}/by-command"

    def run(*arguments):
        run_copy.cache_clear()  # which is of a process
        main(["train", *arguments])
        return capsys.readouterr().out

    arguments = (
        "digits", "--model.base-channels", "4", "--model.channel-multipliers", "1",
        "--optimizer.batch-size", "512", "--sampling.steps", "2", "--run.sample-every-epochs",
        "100", "--optimizer.epochs", "1",
    )  # fmt: skip
    said = run(*arguments, "--run-dir", url)
    for line in (f"folder      {url}", f"exported      {url}/export/denoiser.onnx"):
        assert line in said
    assert s3.exists(f"{BUCKET}/by-command/samples.png")
    with pytest.raises(SystemExit, match="already holds a run"):
        run(*arguments, "--run-dir", url)
    capsys.readouterr()
    assert "Resuming from step 3 of 6." in run("--resume", url, "--optimizer.epochs", "2")
    assert load_denoiser(f"{url}/export/denoiser.onnx").card.images_seen == 6 * 512
    (file,) = export_run(url, ("safetensors",), out=tmp_path).values()
    assert file.is_file()
    further = train(tiny(run={"init_from": url}), f"s3://{BUCKET}/further")
    assert further.directory.parent["name"] == url
