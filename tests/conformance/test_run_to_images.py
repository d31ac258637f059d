"""The commands on a run that was really trained: export it, then draw from each format."""

import dataclasses
import os

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
    main(["export", str(run.directory.path), "--formats", *FORMATS])
    return run.directory.path / "export"


def test_the_command_writes_the_promised_files_and_no_others(export_folder):
    assert sorted(os.listdir(export_folder)) == sorted(row.ARTIFACT for row in FORMATS.values())


def test_what_is_exported_is_the_average_of_the_weights_with_the_runs_card(
    run, export_folder, format_name
):
    row = FORMATS[format_name]
    denoiser = load_denoiser(export_folder / row.ARTIFACT, trust=True)
    average = inference_network(run.model.ema_network)
    live = inference_network(run.model.network)
    assert largest_deviation(average, denoiser, [3]) <= row.TOLERANCE
    assert largest_deviation(live, denoiser, [3]) > row.TOLERANCE
    card = denoiser.card
    assert card == run.card
    assert card.images_seen == 3 * 512
    assert (card.dataset, card.preset, card.steps) == ("digits", "tiny", 3)
    assert card.guidance_interval == (0.1, 10.0)


def test_the_command_samples_the_same_from_a_run_and_from_a_trusted_saved_model(
    run, export_folder, tmp_path
):
    images = []
    for source in ([run.directory.path], [export_folder / "saved_model", "--trust"]):
        npz = tmp_path / f"{len(images)}.npz"
        options = ["--per-label", 2, "--out", npz.with_suffix(".png"), "--npz", npz]
        main([str(word) for word in ("sample", *source, *options)])
        images.append(np.load(npz)["images"].astype(int))
    assert images[0].shape == (20, 8, 8, 1)
    assert np.abs(images[0] - images[1]).max() <= 1


def test_a_second_export_is_refused_unless_told(run, export_folder):
    before = (export_folder / "denoiser.onnx").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match=r"denoiser\.onnx"):
        export_run(run.directory.path, ["onnx"])
    assert (export_folder / "denoiser.onnx").stat().st_mtime_ns == before
    export_run(run.directory.path, ["onnx"], overwrite=True)
    assert (export_folder / "denoiser.onnx").stat().st_mtime_ns > before


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
        assert row.description(folder / row.ARTIFACT) == {**options, "timesteps": None}
