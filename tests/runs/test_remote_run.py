"""A run in an object store: what is there when, and that it goes on from there as from a folder."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kdiffusion.__main__ import main
from kdiffusion.object_store import Store, downloaded
from kdiffusion.runs import Config, remote_run, train
from kdiffusion.runs.remote_run import RemoteRun, RunTaken, to_draw
from kdiffusion.runs.run_directory import RunDirectory

ROOT = Path(__file__).parent.parent.parent
BUCKET = "kdiffusion"


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A place in a store in memory, and a machine's own cache."""
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    return f"memory://{tmp_path.name}/run"


def _checkpoint(step, text="weights", folder="checkpoints"):
    at = f"{folder}/step_{step:08d}"
    return {f"{at}/record.json": f"of {text}", f"{at}/state.index": "", f"{at}/state.data-0": text}


def _put(run, files):
    for name, text in files.items():
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _elsewhere(url, monkeypatch, tmp_path, name="other"):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / name))
    return RemoteRun(url)


def _with_unsent_checkpoint(url):
    run = RemoteRun(url)
    _put(run, {"config.json": "{}"})
    run.claim()
    _put(run, _checkpoint(4))
    return run


def test_what_the_folder_holds_is_what_another_machine_fetches(url, monkeypatch, tmp_path):
    run = RemoteRun(url)
    files = {"config.json": "{}", "samples/epoch_0001.png": "image", **_checkpoint(4)}
    _put(run, files)
    run.claim()
    other = _elsewhere(url, monkeypatch, tmp_path)
    assert (other.folder / "config.json").read_text() == "{}"
    assert not (other.folder / "checkpoints").exists()  # until they are asked for
    other.fetch()
    for name, text in files.items():
        assert (other.folder / name).read_text() == text


def test_what_could_not_be_sent_reaches_the_other_workers_too(url, monkeypatch, tmp_path):
    """Two workers in threads; the first has a checkpoint that the store lacks."""
    run = RemoteRun(url)
    _put(run, {"config.json": "{}", **_checkpoint(2)})
    run.claim()
    _put(run, _checkpoint(4))  # and the process is killed
    first = RemoteRun(url)
    other = RemoteRun(url, writes=False)
    meeting, flags = threading.Barrier(2), [{}, {}]

    def go_on(remote, number):
        asked = itertools.count()

        def any_worker(flag):
            turn = next(asked)
            flags[number][turn] = flag
            meeting.wait(timeout=30)
            return any(each[turn] for each in flags)

        remote.fetch(any_worker)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(go_on, remote, i) for i, remote in enumerate((first, other))]:
            done.result()
    for remote in (first, other):
        newest = remote.folder / "checkpoints" / "step_00000004" / "record.json"
        assert newest.read_text() == "of weights"
    assert [len(each) for each in flags] == [2, 2]


def _saved_model(text="weights"):
    at = "export/saved_model"
    return {f"{at}/saved_model.pb": f"of {text}", f"{at}/variables/variables.index": text}


@pytest.mark.parametrize(
    ("make", "last"), [(lambda text: _checkpoint(4, text), "record.json"),
                       (_saved_model, "saved_model.pb")]
)  # fmt: skip
def test_a_folder_counts_from_its_last_object_on_and_not_after_it(url, monkeypatch, make, last):
    """Every state that a reader may meet: a record stands for files that are all there."""
    run = RemoteRun(url)
    run.claim()
    events = []
    for action in ("upload", "remove"):
        whole = getattr(Store, action)

        def noted(self, *arguments, action=action, whole=whole):
            whole(self, *arguments)
            names = arguments[0] if action == "remove" else [arguments[1]]
            events.extend((action, name) for name in names)

        monkeypatch.setattr(Store, action, noted)
    for files in (make("first"), make("again"), {}):
        for path in run.folder.glob("*/**/*"):
            if path.is_file():
                path.unlink()
        _put(run, files)
        events.clear()
        run.send()
        record = [kind for kind, name in events if name.endswith(last)]
        others = [i for i, (_, name) in enumerate(events) if not name.endswith(last)]
        places = [i for i, (_, name) in enumerate(events) if name.endswith(last)]
        if files:  # what stood there before is no checkpoint while its files are replaced
            assert places[-1] > max(others)
            assert record[-1] == "upload"
            assert all(place < min(others) for place in places[:-1])
        else:
            assert record == ["remove"]
            assert places[0] < min(others)
    assert record == ["remove"]


def test_some_whole_checkpoint_is_there_while_the_same_machine_sends_again(url, monkeypatch):
    """What the store has is not sent again; what was written anew goes one after another."""
    run = RemoteRun(url)
    best = _checkpoint(4, folder="checkpoints/best")
    _put(run, {"config.json": "{}", **best, **_checkpoint(4), **_checkpoint(8)})
    run.claim()
    again, upload = RemoteRun(url), Store.upload
    _put(again, _checkpoint(8, "another way"))
    _put(again, _checkpoint(12))
    again.fetch()
    seen, sent = [], set()

    def noted(self, path, name):
        seen.append({each for each in self.sizes() if each.endswith("record.json")})
        upload(self, path, name)
        sent.add(name)

    monkeypatch.setattr(Store, "upload", noted)
    again.claim()
    assert sent == {"config.json", *_checkpoint(8), *_checkpoint(12)}
    kept = {name for name in (*best, *_checkpoint(4)) if name.endswith("record.json")}
    assert all(records >= kept for records in seen)
    everything = {**_checkpoint(4, "x"), **_checkpoint(8, "x"), **_checkpoint(12, "x")}
    seen.clear()
    _put(again, everything)
    again.send()
    assert all(len(records) >= 3 for records in seen)
    assert Store(url).read("checkpoints/step_00000012/record.json") == b"of x"


def test_what_could_not_be_sent_outlives_a_claim_that_failed(url, monkeypatch):
    _with_unsent_checkpoint(url)

    def fail(self, content, name):
        raise OSError(f"{self.url} could not be written: no route")

    for _ in range(2):
        again = RemoteRun(url)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "write", fail)
            with pytest.raises(OSError, match="no route"):
                again.claim()
    again = RemoteRun(url)
    again.fetch()
    again.claim()
    assert "checkpoints/step_00000004/record.json" in Store(url).sizes()


def test_nothing_is_sent_twice_and_nothing_of_others_is_touched(url, monkeypatch, tmp_path):
    run = RemoteRun(url)
    _put(run, {"config.json": "{}", "notes.txt": "mine", "run.lock": "", **_checkpoint(4)})
    _put(run, {"checkpoints/step_00000005.partial/state.index": "half"})
    run.claim()
    store = Store(url)
    store.write(b"theirs", "thesis.txt")
    store.write(b"theirs", "checkpoints/thesis.txt")
    uploads = []
    monkeypatch.setattr(Store, "upload", lambda self, path, name: uploads.append(name))
    run.send()
    assert uploads == []
    other = _elsewhere(url, monkeypatch, tmp_path)
    other.fetch()
    other.claim()
    assert not list(other.folder.rglob("thesis.txt"))
    (other.folder / "config.json").unlink()
    other.send()
    assert set(store.sizes()) >= {"thesis.txt", "checkpoints/thesis.txt", "owner.json"}
    assert set(store.sizes()).isdisjoint({"notes.txt", "config.json", "run.lock"})
    assert not any(".partial" in name for name in store.sizes())


def test_a_run_that_replaces_another_never_shows_its_checkpoints(url, monkeypatch, tmp_path):
    old = RemoteRun(url)
    _put(old, {"config.json": "old", **_checkpoint(100)})
    old.claim()
    new, upload = _elsewhere(url, monkeypatch, tmp_path), Store.upload
    _put(new, {"config.json": "new"})
    (new.folder / "checkpoints").mkdir(exist_ok=True)
    seen = []

    def noted(self, path, name):
        upload(self, path, name)
        seen.append(set(self.sizes()))

    monkeypatch.setattr(Store, "upload", noted)
    new.claim(begins=True)
    assert seen == [{"owner.json", "config.json"}]
    new.send()
    assert set(Store(url).sizes()) == seen[0]


def test_a_run_killed_while_it_replaces_another_can_be_begun_again(url, monkeypatch, tmp_path):
    old = RemoteRun(url)
    _put(old, {"config.json": "old", "samples.png": "old", **_checkpoint(100)})
    old.claim()
    new, remove = _elsewhere(url, monkeypatch, tmp_path), Store.remove

    def killed(self, names):
        remove(self, names[:-1])
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        new.claim(begins=True)
    monkeypatch.setattr(Store, "remove", remove)
    assert set(Store(url).sizes()) == {"owner.json", "config.json"}
    RemoteRun(url).check_free()


def test_who_was_overtaken_stops_and_keeps_what_it_has(url, monkeypatch, tmp_path):
    run = RemoteRun(url)
    _put(run, {"config.json": "{}"})
    run.claim()
    other = _elsewhere(url, monkeypatch, tmp_path)
    other.claim()
    _put(run, _checkpoint(4))
    with pytest.raises(RunTaken, match=r"Another process has begun to write memory://.*stops"):
        run.send_checkpoint()
    assert (run.folder / "checkpoints").is_dir()
    assert "checkpoints/step_00000004/record.json" not in Store(url).sizes()
    other.send()


def test_what_could_not_be_sent_is_gone_on_from(url, monkeypatch, tmp_path):
    """A store that is away for a while costs nothing; the next life on this machine sends it."""
    run = _with_unsent_checkpoint(url)

    def fail(self, path, name):
        raise OSError(f"{self.url} could not be written: no route")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "upload", fail)
        with pytest.warns(UserWarning, match="no route.*goes with the next checkpoint"):
            run.send_checkpoint()
    again = RemoteRun(url)
    again.fetch()
    assert (again.folder / "checkpoints/step_00000004/record.json").is_file()
    again.claim()
    assert "checkpoints/step_00000004/record.json" in Store(url).sizes()


def test_an_export_that_was_made_elsewhere_is_still_there_when_the_run_goes_on(url):
    run = RemoteRun(url)
    _put(run, {"config.json": "{}", "export/denoiser.onnx": "old"})
    run.claim()
    Store(url).write(b"theirs", "export/denoiser_float16.onnx")
    Store(url).write(b"new", "export/denoiser.onnx")
    again = RemoteRun(url)
    again.fetch()
    again.claim()
    assert Store(url).read("export/denoiser_float16.onnx") == b"theirs"
    assert Store(url).read("export/denoiser.onnx") == b"new"


def test_no_run_is_begun_beside_what_none_has_written(url, tiny):
    Store(url).write(b"theirs", "export/denoiser.onnx")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(FileExistsError, match=rf"^{url}/export/denoiser.onnx is there"):
            train(tiny(), url, **options)
    assert Store(url).read("export/denoiser.onnx") == b"theirs"


def test_a_reader_takes_the_newest_checkpoint_and_the_best():
    names = [
        "config.json", "samples/epoch_0001.png", "tensorboard/train/events.out.tfevents.1",
        *_checkpoint(4), *_checkpoint(8), *_checkpoint(6, folder="checkpoints/best"),
        "checkpoints/step_00000012/state.index",  # its record is not there yet
    ]  # fmt: skip
    best, newest = _checkpoint(6, folder="checkpoints/best"), _checkpoint(8)
    assert sorted(to_draw(names)) == sorted(["config.json", *best, *newest])
    assert to_draw(["saved_model.pb"]) == ["saved_model.pb"]


@pytest.mark.parametrize("name", ["../out", "checkpoints/step_00000004.partial/../../../../out"])
def test_an_object_that_would_lie_outside_the_folder_is_refused(name, url, monkeypatch):
    there = {f"{url.removeprefix('memory:/')}/{name}": {"size": 1}}
    system = type(Store(url)._system)
    monkeypatch.setattr(system, "find", lambda self, path, **options: there)
    for open_it in (RemoteRun, downloaded):
        with pytest.raises(ValueError, match=r"that no file may be named as: .*\.\./out"):
            open_it(url)


def test_errors_name_the_url(url, tiny):
    run = RemoteRun(url)
    _put(run, {"config.json": "{}"})
    run.claim()
    with pytest.raises(FileExistsError, match=rf"^{url} holds a run already.*--resume"):
        train(tiny(), url)
    good = run.folder / "checkpoints/step_00000004"
    said = rf"^Go on from {url}/checkpoints/step_00000004$"
    with pytest.raises(FloatingPointError, match=said), run.named():
        raise FloatingPointError(f"Go on from {good}")


SCRIPT = """
import sys
from kdiffusion.runs import Config, train
train(Config.from_json(open(sys.argv[1]).read()), sys.argv[2], resume=True)
"""


def _start(config_file, url, cache):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(config_file), url],
        cwd=ROOT,
        env={**os.environ, "KDIFFUSION_CACHE_DIR": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_run_in_s3_is_killed_and_goes_on_on_another_machine(
    s3,
    tiny,
    last_checkpoint,
    tmp_path,
):
    config = tiny(optimizer={"epochs": 20}, run={"checkpoint_every_epochs": 4})
    file, url = tmp_path / "config.json", f"s3://{BUCKET}/killed"
    file.write_text(config.to_json())
    process = _start(file, url, tmp_path / "first machine")
    record = f"{BUCKET}/killed/checkpoints/step_00000024/record.json"
    deadline = time.monotonic() + 300
    while not s3.exists(record):
        s3.invalidate_cache()
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not s3.exists(f"{BUCKET}/killed/checkpoints/step_00000120")
    process = _start(file, url, tmp_path / "second machine")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    here = tmp_path / "run"
    s3.get(f"{BUCKET}/killed", str(here), recursive=True)
    train(config, tmp_path / "whole")
    assert last_checkpoint(here) == last_checkpoint(tmp_path / "whole")
    assert RunDirectory.read(here).config == Config.from_json(
        json.dumps(json.loads(file.read_text()))
    )


@pytest.mark.slow
def test_the_command_trains_to_a_url_and_goes_on_from_it(s3, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    url = f"s3://{BUCKET}/by-command"

    def run(*arguments):
        remote_run.begun.cache_clear()  # which is of a process
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
    assert "tensorboard" not in said
    assert s3.exists(f"{BUCKET}/by-command/samples.png")
    assert not list((tmp_path / "cache").glob("runs/*"))  # the copy is gone when all is sent
    with pytest.raises(SystemExit, match="1"):
        run(*arguments, "--run-dir", url)
    assert f"error: {url} holds a run already." in capsys.readouterr().err  # moto tells there too
    said = run("--resume", url, "--optimizer.epochs", "2")
    assert "Going on from step 3 of 6." in said


@pytest.mark.slow
def test_a_url_serves_wherever_a_run_or_a_file_does(s3, tiny, tmp_path, monkeypatch):
    from kdiffusion import load_denoiser
    from kdiffusion.export import export_run
    from kdiffusion.runs import load_run

    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    url = f"s3://{BUCKET}/used"
    run = train(tiny(), url)
    assert run.directory.path.is_relative_to(tmp_path / "cache")
    paths = export_run(url, ("onnx", "saved_model"))
    assert paths == {
        "onnx": f"{url}/export/denoiser.onnx",
        "saved_model": f"{url}/export/saved_model",
    }
    for path in paths.values():
        assert load_denoiser(path).card.images_seen == run.card.images_seen
    with pytest.raises(FileExistsError, match=rf"^{url}/export/denoiser.onnx exists; .*overwrite"):
        export_run(url, ("onnx",))
    Store(url).write(b"theirs", "export/saved_model/thesis.txt")
    export_run(url, ("saved_model",), overwrite=True)
    assert load_denoiser(paths["saved_model"]).card == load_denoiser(paths["onnx"]).card
    assert Store(url).read("export/saved_model/thesis.txt") == b"theirs"
    export_run(paths["onnx"], ("onnx_float16",))
    assert load_denoiser(f"{url}/export/denoiser_float16.onnx").card == run.card
    further = train(tiny(run={"init_from": url}), f"s3://{BUCKET}/further")
    assert further.directory.parent["name"] == url
    with pytest.raises(FileNotFoundError, match=f"{url}/nothing does not exist"):
        load_denoiser(f"{url}/nothing")
    assert load_run(run.directory.path).card == run.card
    remote_run.begun.cache_clear()
