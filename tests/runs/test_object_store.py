"""A run at a URL: killed on one machine, it goes on on another."""

import signal

import fsspec
import pytest

from kdiffusion import load_denoiser
from kdiffusion.__main__ import main
from kdiffusion.export.formats import export_run
from kdiffusion.object_store import RunCopy, download
from kdiffusion.runs.initial_weights import read_parent
from tests.runs.conftest import TINY

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


SETTINGS = [*TINY, "--optimizer.epochs", "2", "--run.checkpoint-every-epochs", "1"]

# Killed in the second epoch, when the checkpoint of the first has been copied.
KILLED = """
import os, signal, sys
from kdiffusion.commands import train
from kdiffusion.runs.fit import SaveCheckpoint

def kill(self, batch, logs=None):
    if int(self.model.step.numpy()) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, batch, logs)

save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, kill
train.run(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_run_in_s3_is_killed_and_goes_on_on_another_machine_and_serves_as_any(
    s3, tmp_path, capsys, run_python
):
    url = f"s3://{BUCKET}/killed"
    killed = {"status": -signal.SIGKILL, "env": {"TMPDIR": str(tmp_path)}}
    run_python("-c", KILLED, *SETTINGS, "--run-dir", url, **killed)
    assert s3.exists(f"{BUCKET}/killed/checkpoints/step_00000006/record.json")
    main(["train", "--run-dir", url, "--resume"])
    said = capsys.readouterr().out
    assert "Resuming from step 6 of 12." in said
    for line in (f"folder      {url}", f"exported      {url}/export/denoiser.onnx"):
        assert line in said

    # The URL serves wherever a run or a file does.
    s3.invalidate_cache()
    assert s3.exists(f"{BUCKET}/killed/samples.png")
    assert load_denoiser(f"{url}/export/denoiser.onnx").card.images_seen == 12 * 256
    (file,) = export_run(url, ("safetensors",), out=tmp_path).values()
    parent = read_parent(url)
    assert parent.to_dict() == {"name": url, "sha256": read_parent(file).sha256}
    with pytest.raises(SystemExit, match="already holds"):
        main(["train", *SETTINGS, "--run-dir", url])
