"""The trial export: a real one in a process of its own, what it finds, and what it leaves."""

import json
import subprocess
import sys
import time
import types
from pathlib import Path

import keras
import pytest

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.export.trial import TrialExport, export_untrained
from kdiffusion.runs import PRESETS

ROOT = Path(__file__).parents[2]


def tiny_config():
    content = json.loads(PRESETS["digits"].to_json())
    content["model"].update(base_channels=4, channel_multipliers=[1], attention_resolutions=[])
    return type(PRESETS["digits"]).from_json(json.dumps(content))


def begin(trial, step=0, image_shape=(8, 8, 1)):
    network = types.SimpleNamespace(image_shape=image_shape, num_classes=10)
    trial.set_model(
        types.SimpleNamespace(network=network, step=keras.Variable(step, dtype="int64"))
    )
    trial.on_train_begin()


@pytest.mark.slow
def test_a_network_that_can_be_exported_is_trained_on():
    with TrialExport(tiny_config(), formats=("onnx",)) as trial:
        begin(trial)
        trial.on_train_batch_end(0)  # it is not waited for
        assert trial._process.wait() == 0
        trial.on_train_batch_end(1)
        [file] = Path(trial._folder.name).rglob("*.onnx")
        assert load_denoiser(file).card.image_shape == (8, 8, 1)
    assert not file.exists()


@pytest.mark.slow
def test_one_that_cannot_stops_the_training_with_the_reason():
    with TrialExport(tiny_config()) as trial:
        begin(trial, image_shape=(8, 8, 5))
        assert trial._process.wait() == 1
        with pytest.raises(ArtifactError, match=r"training stops at its beginning.*`image_shape`"):
            trial.on_train_batch_end(0)


@pytest.mark.slow
def test_an_operation_that_the_converter_does_not_know_is_found(monkeypatch, tmp_path):
    """Keras computes gelu by erfc, which tf2onnx has no translation for."""
    monkeypatch.setattr("kdiffusion.networks.residual.silu", lambda x: keras.ops.gelu(x, False))
    job = {
        "config": json.loads(tiny_config().to_json()), "image_shape": [8, 8, 1], "num_classes": 10,
        "formats": ["onnx"], "folder": str(tmp_path / "export"),
    }  # fmt: skip
    with pytest.raises(Exception, match="Erfc"):
        export_untrained(job)
    assert not list(tmp_path.rglob("*.onnx"))


def test_it_ends_with_the_training_and_leaves_nothing():
    with TrialExport(tiny_config()) as trial:
        begin(trial)
        process, folder = trial._process, Path(trial._folder.name)
        assert folder.exists()
    assert process.returncode is not None
    assert not folder.exists()


# A training that is killed amid its trial.
KILLED = """
import time
from tests.export.test_trial import begin, tiny_config
from kdiffusion.export.trial import TrialExport
with TrialExport(tiny_config()) as trial:
    begin(trial)
    print(trial._process.pid, trial._folder.name, flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_it_ends_with_a_training_that_is_killed_and_leaves_nothing():
    training = subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    number, folder = training.stdout.readline().split()
    assert Path(folder).is_dir()
    training.kill()
    training.communicate()
    for _ in range(600):  # it may be in the middle of an import
        if not Path(folder).exists() and not Path("/proc", number).exists():
            return
        time.sleep(0.1)
    pytest.fail(f"after a minute {folder} or process {number} is still there")


def test_a_run_that_goes_on_was_tried_when_it_began():
    with TrialExport(tiny_config()) as trial:
        begin(trial, step=5)
        assert trial._process is None
        trial.on_train_batch_end(0)


def test_a_trial_that_was_killed_stops_nothing(capsys):
    with TrialExport(tiny_config()) as trial:
        begin(trial)
        trial._process.kill()
        trial._process.wait()
        trial.on_train_batch_end(0)
        assert "ended by SIGKILL" in capsys.readouterr().err
