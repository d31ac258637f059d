"""Files of version 0.1, from before its rooms were rebuilt: they open, draw and go on, for good.

A digits run of 4 channels and 6 steps, its exports, and what the sampling loop drew from them then.
Never make them anew: a change that needs that breaks the files that others have.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdiffusion import load_denoiser, sample, to_uint8

HERE = Path(__file__).parent
DRAWN = {"sampler": "dpmpp_2m", "steps": 6, "guidance_strength": 1.0, "progress": False}
REGISTERED = {"UNet", "DiffusionModel", "ResidualBlock", "SelfAttention2D", "ConditionEmbedding"}
REGISTERED |= {"TimestepEmbedding", "GroupNorm", "LossSecondMoment", "FusedAdamW"}


def _assert_drawn(denoiser):
    images = sample(denoiser, [3, 7, 10], [0, 1, 2], **DRAWN)
    difference = to_uint8(images).astype(int) - to_uint8(np.load(HERE / "images.npy"))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("name", ["denoiser.onnx", "denoiser.tflite"])
def test_an_exported_file_draws_what_it_drew(name):
    denoiser = load_denoiser(HERE / name)
    assert denoiser.card.dataset == "digits"
    assert denoiser.card.images_seen == 6 * 256
    _assert_drawn(denoiser)


@pytest.fixture
def run_folder(tmp_path):
    return Path(shutil.copytree(HERE / "run", tmp_path / "run"))


def test_a_run_is_loaded_from_its_checkpoint(run_folder):
    import keras

    from kdiffusion.runs.build import load_run

    run = load_run(run_folder)
    assert int(run.model.step.numpy()) == 6
    _assert_drawn(run.model.denoiser(run.card))
    known = keras.saving.get_custom_objects()
    assert {f"kdiffusion>{name}" for name in REGISTERED} <= set(known)


@pytest.mark.slow
def test_a_run_goes_on(run_folder, eagerly):
    from kdiffusion.runs.config import Config
    from kdiffusion.runs.run import train

    content = json.loads((run_folder / "config.json").read_text())["config"]
    content["optimizer"]["epochs"] = 2
    run = train(Config.from_json(json.dumps(content)), run_folder, resume=True)
    assert int(run.model.step.numpy()) == 12
    assert (run_folder / "checkpoints" / "step_00000012").is_dir()
