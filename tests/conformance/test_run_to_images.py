"""The commands on a run that was really trained: export it, then draw from each format."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from kdiffusion.__main__ import main
from kdiffusion.artifacts import load_denoiser
from kdiffusion.export import FORMATS, export_run
from kdiffusion.export.formats import export_again
from kdiffusion.export.inference import inference_network
from kdiffusion.export.verify import largest_deviation
from kdiffusion.export.whole_sampler import SAMPLER_FORMATS, export_sampler
from kdiffusion.runs.config import (
    Config,
    DiffusionConfig,
    ExecutionConfig,
    ModelConfig,
    OptimizerConfig,
    SamplingConfig,
)

pytestmark = pytest.mark.slow

_CONFIG = Config(
    preset="tiny",
    model=ModelConfig(
        base_channels=16,
        channel_multipliers=(1,),
        blocks_per_level=1,
        attention_resolutions=(),
        dtype_policy="mixed_bfloat16",
    ),
    diffusion=DiffusionConfig(num_timesteps=20),
    optimizer=OptimizerConfig(epochs=1, batch_size=512, learning_rate=1e-2),
    sampling=SamplingConfig(
        sampler="ddim", steps=3, guidance_strength=0.5, guidance_interval=(0.1, 10.0)
    ),
    run=ExecutionConfig(strategy="one_device"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three steps on the digits: enough for weights and their average to differ."""
    from kdiffusion.runs import train

    return train(_CONFIG, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def export_folder(run):
    """RUN_DIR/export, as the command leaves it."""
    _python("-m", "kdiffusion", "export", run.directory.path, "--formats", *FORMATS)
    return run.directory.path / "export"


def _python(*arguments, expect=0):
    """Runs Python; returns the last line of its standard error."""
    process = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert process.returncode == expect, process.stderr
    return process.stderr.splitlines()[-1] if process.stderr else ""


def test_the_command_writes_the_promised_files_and_no_others(export_folder):
    assert sorted(os.listdir(export_folder)) == sorted(
        export_format.ARTIFACT for export_format in FORMATS.values()
    )
    assert (export_folder / "denoiser.onnx").is_file()
    assert (export_folder / "saved_model" / "saved_model.pb").is_file()
    assert (export_folder / "openvino" / "denoiser.xml").is_file()
    assert (export_folder / "denoiser.tflite").is_file()


def test_what_is_exported_is_the_average_of_the_weights(run, export_folder, format_name):
    denoiser = load_denoiser(export_folder / FORMATS[format_name].ARTIFACT)
    average = inference_network(run.model.ema_network)
    live = inference_network(run.model.network)
    assert largest_deviation(average, denoiser) <= FORMATS[format_name].TOLERANCE
    assert largest_deviation(live, denoiser) > FORMATS[format_name].TOLERANCE


def test_the_card_is_that_of_the_run(run, export_folder, format_name):
    card = load_denoiser(export_folder / FORMATS[format_name].ARTIFACT).card
    assert card == run.card
    assert card.images_seen == 3 * 512
    assert (card.dataset, card.preset, card.steps) == ("digits", "tiny", 3)
    assert card.guidance_interval == (0.1, 10.0)


def test_each_format_draws_the_same_images(export_folder, tmp_path):
    images = {}
    for name, export_format in FORMATS.items():
        files = ["--out", tmp_path / f"{name}.png", "--npz", tmp_path / f"{name}.npz"]
        artifact = export_folder / export_format.ARTIFACT
        main([str(word) for word in ("sample", artifact, "--per-label", 2, "--steps", 10, *files)])
        images[name] = np.load(tmp_path / f"{name}.npz")["images"].astype(int)
    assert images["onnx"].shape == (20, 8, 8, 1)
    for name, image in images.items():
        difference = np.abs(image - images["onnx"])
        # With rounded weights a pixel near the threshold of clipping may move further.
        assert difference.mean() <= (2 if FORMATS[name].TOLERANCE > 1e-4 else 0.5), name
        assert difference.max() <= 1 or FORMATS[name].TOLERANCE > 1e-4, name


def test_a_second_export_is_refused_unless_told(export_folder):
    run_dir = export_folder.parent
    before = (export_folder / "denoiser.onnx").stat().st_mtime_ns
    error = _python("-m", "kdiffusion", "export", run_dir, "--formats", "onnx", expect=1)
    assert "denoiser.onnx exists" in error
    assert (export_folder / "denoiser.onnx").stat().st_mtime_ns == before
    export_run(run_dir, ["onnx"], overwrite=True)
    assert (export_folder / "denoiser.onnx").stat().st_mtime_ns > before
    load_denoiser(export_folder / "denoiser.onnx")


def test_a_run_without_a_checkpoint_is_refused_and_left_as_it_is(run, tmp_path):
    fresh = dataclasses.replace(run.directory, path=tmp_path / "fresh")
    fresh.write()
    before = sorted(os.listdir(fresh.path))
    error = _python("-m", "kdiffusion", "export", fresh.path, expect=1)
    assert error.startswith("error: ")
    assert "checkpoint" in error
    assert sorted(os.listdir(fresh.path)) == before


def test_after_a_resumed_training_every_file_is_of_the_new_checkpoint(tmp_path):
    from kdiffusion.runs import train

    folder = tmp_path / "run" / "export"
    run = train(_CONFIG, tmp_path / "run")
    export_run(run.directory.path, ["onnx", "onnx_float16"])
    options = {"sampler": "ddim", "steps": 2, "spacing": "leading"}
    export_sampler(run.model.ema_network, run.card, folder, **options)
    longer = dataclasses.replace(_CONFIG.optimizer, epochs=2)
    resumed = train(dataclasses.replace(_CONFIG, optimizer=longer), tmp_path / "run", resume=True)
    assert resumed.card.images_seen == 2 * run.card.images_seen
    export_again(tmp_path / "run")
    for name in ("denoiser.onnx", "denoiser_float16.onnx"):
        assert load_denoiser(folder / name).card == resumed.card
    for row in SAMPLER_FORMATS.values():
        assert row.load(folder / row.ARTIFACT)[1] == resumed.card
        assert row.description(folder / row.ARTIFACT) == options
