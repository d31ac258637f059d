import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from kdiffusion.commands import train
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.schedules import SCHEDULES
from kdiffusion.images import to_uint8
from kdiffusion.training.presets import PRESETS

ROOT = Path(__file__).parents[2]


def _run(*arguments, cwd=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_without_a_preset_it_is_the_digits():
    assert train.parse([]) == train.parse(["digits"])
    assert train.parse([]).config == PRESETS["digits"]
    assert train.parse(["--resume"]) == train.parse(["digits", "--resume"])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_command_and_every_field_an_option(preset):
    command = train.parse([preset, "--optimizer.epochs", "3", "--run-dir", "somewhere", "--resume"])
    assert command.config.optimizer.epochs == 3
    assert command.config.preset == preset
    assert (command.run_dir, command.resume, command.overwrite) == (Path("somewhere"), True, False)


def test_help_tells_the_meaning_and_the_default_of_a_field():
    done = _run("train.py", "digits", "--help")
    text = re.sub(r"[\s│]+", " ", done.stdout)
    assert "--optimizer.batch-size INT Images a step, over all devices" in text
    assert "(default: 128)" in text


def test_help_lists_schedules_and_samplers():
    text = _run("train.py", "digits", "--help").stdout
    assert f"--diffusion.schedule {{{','.join(SCHEDULES)}}}" in text
    assert f"--sampling.sampler {{{','.join(SAMPLERS)}}}" in text


def test_the_interpreter_is_named_as_it_is_called_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert train._python() == ".venv/bin/python"
    monkeypatch.setattr(sys, "executable", "/some where/python")
    assert train._python() == "'/some where/python'"


@pytest.mark.parametrize(
    "arguments",
    [
        ["digits", "--optimizer.lr", "1"],
        ["digits", "--optimizer.learning-rate", "-1"],
        ["digits", "--optimizer.batch-size", "many"],
        ["digits", "--sampling.steps", "2000"],
        ["digits", "--diffusion.schedule", "straight"],
        ["mnist"],
    ],
)
def test_a_mistake_is_told_at_once_and_leaves_nothing(tmp_path, arguments):
    block = "import sys; sys.modules['tensorflow'] = None; sys.argv[0] = 'train.py'; "
    run = f"import runpy; runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')"
    done = _run("-c", block + run, *arguments, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert arguments[-1].strip("-") in done.stderr or arguments[-2].strip("-") in done.stderr
    assert not list(tmp_path.iterdir())


# A test downloads nothing, wherever it runs: no name has an address here.
OFFLINE = """
import runpy, socket, sys, urllib.request
def no_address(*arguments, **options):
    raise socket.gaierror("offline")
socket.getaddrinfo = no_address
urllib.request.getproxies = dict
sys.argv[0] = "train.py"
"""


@pytest.mark.slow
def test_a_data_set_that_is_not_there_is_told_in_one_line(tmp_path):
    run = f"runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')"
    options = ["--data.name", "cifar10", "--data.directory", str(tmp_path / "nothing")]
    done = _run("-c", OFFLINE + run, "digits", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: Data set 'cifar10' is not prepared in" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    done = _run(str(ROOT / "train.py"), "--run-dir", str(folder / "run"), cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "run", done.stdout


@pytest.mark.slow
def test_the_quickstart_says_where_each_thing_is(quickstart):
    run, output = quickstart
    made = ["checkpoints", "export/denoiser.onnx", "export/saved_model", "samples.png"]
    for path in [run / name for name in made]:
        assert path.exists()
        assert str(path) in output
    assert f"{sys.executable} -m tensorboard.main --logdir" in output
    assert f"{sys.executable} -m kdiffusion sample" in output
    assert sorted(run.glob("samples/*.png"))


@pytest.mark.slow
def test_the_quickstart_draws_the_digits_that_were_asked_for(quickstart):
    """An SVM fitted on the real digits reads at least 90 % of 200 drawn ones as their label."""
    from kdiffusion.artifacts import load_denoiser
    from kdiffusion.diffusion.sampling import sample

    run, _ = quickstart
    denoiser = load_denoiser(run / "export/denoiser.onnx")
    labels = np.repeat(np.arange(10), 20)
    images = to_uint8(sample(denoiser, denoiser.card, labels, 1000 + np.arange(200)))
    digits = load_digits()
    reader = SVC(gamma=0.001, C=10.0).fit(digits.data, digits.target)
    read = reader.predict(images.reshape(200, 64) * (16.0 / 255.0))
    print(f"read as asked: {np.mean(read == labels):.1%}")
    assert np.mean(read == labels) >= 0.9
    # And not one picture for each label: as varied as the real ones, within a factor of two.
    pairs = zip(images.reshape(10, 20, 64), range(10), strict=True)
    drawn = [np.std(each * (16.0 / 255.0), axis=0).mean() for each, _ in pairs]
    real = [np.std(digits.data[digits.target == label], axis=0).mean() for label in range(10)]
    assert np.mean(drawn) > 0.5 * np.mean(real)


@pytest.mark.slow
def test_a_folder_that_holds_a_run_is_refused(quickstart):
    run, _ = quickstart
    done = _run("train.py", "digits", "--run-dir", str(run))
    assert done.returncode == 1
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_resuming_a_finished_run_keeps_its_step_and_draws_the_same(quickstart):
    run, _ = quickstart
    before = (run / "samples.png").read_bytes()
    done = _run("train.py", "digits", "--run-dir", str(run), "--resume")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (run / "samples.png").read_bytes() == before
