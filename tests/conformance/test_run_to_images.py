"""A run on photographs, from the folder to what is drawn from its files."""

import dataclasses
import os
import shutil

import numpy as np
import pytest

from kdiffusion.__main__ import main
from kdiffusion.artifacts import load_sampler, safetensors_loader
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.export.formats import CARD_FILE, FORMATS, export_network, formats_in
from kdiffusion.export.whole_sampler import SAMPLER_FORMATS, export_sampler
from kdiffusion.networks import named_weights
from kdiffusion.runs.build import load_run
from kdiffusion.runs.run import train
from tests.data.made_up import write_folder
from tests.runs.conftest import tiny

pytestmark = pytest.mark.slow

SHAPE = (8, 12, 3)  # wider than high
_OF_SAMPLER = {"sampler": "ddim", "steps": 2, "spacing": "leading"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on 80 photographs of 20x30 pixels in two classes: two epochs of three steps.

    That is enough for weights and their average to differ. A sampler of an earlier checkpoint was
    there when all was exported.
    """
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("run")
    files = {
        f"{name}/{i}.png": np.clip(rng.normal(colour, 25, (20, 30, 3)), 0, 255).astype(np.uint8)
        for name, colour in {"dark": 40, "light": 190}.items()
        for i in range(40)
    }
    photographs = write_folder(tmp_path_factory.mktemp("photographs"), files)
    config = tiny(
        preset="tiny",
        data={"name": "folder", "directory": photographs, "image_size": SHAPE[:2]},
        model={"base_channels": 8, "dtype_policy": "mixed_bfloat16"},
        diffusion={"num_timesteps": 20},
        optimizer={"epochs": 2, "batch_size": 24, "learning_rate": 4e-2},
        sampling={"sampler": "ddim", "steps": 3, "guidance_interval": (0.1, 10.0)},
    )
    run = train(config, folder)
    earlier, out = dataclasses.replace(run.card, images_seen=72), folder / "export"
    export_sampler(run.model.network, earlier, out, formats=["saved_model"], **_OF_SAMPLER)
    main(["export", str(folder), "--overwrite"])
    return run


@pytest.fixture(scope="module")
def export_folder(run):
    return run.directory.path / "export"


def test_a_sampler_that_is_there_becomes_one_of_the_new_checkpoint(run, export_folder):
    row = SAMPLER_FORMATS["saved_model"]
    assert load_sampler(export_folder / row.artifact, trust=True)[1] == run.card
    assert row.description(export_folder / row.artifact) == {**_OF_SAMPLER, "timesteps": None}


def test_a_folder_never_holds_two_networks(run, export_folder, tmp_path):
    """As the newest checkpoint's and, after `--best`, the best one's."""
    for name in ("denoiser.safetensors", CARD_FILE):
        shutil.copy(export_folder / name, tmp_path)
    network = load_run(run.directory.path).model.ema_network
    kept = (tmp_path / "denoiser.safetensors").stat().st_mtime_ns
    assert [*export_network(network, run.card, tmp_path, ["safetensors_float16"])] == [
        "safetensors_float16"
    ]
    assert (tmp_path / "denoiser.safetensors").stat().st_mtime_ns == kept  # it is of the same
    network.set_weights([array + 1e-3 for array in network.get_weights()])
    with pytest.raises(FileExistsError, match="another network"):
        export_network(network, run.card, tmp_path, ["onnx_int8"])
    assert {*formats_in(tmp_path)} == {"safetensors", "safetensors_float16"}
    export_network(network, run.card, tmp_path, ["safetensors_float16"], overwrite=True)
    for name, value in safetensors_loader.read(tmp_path / "denoiser.safetensors").weights.items():
        np.testing.assert_array_equal(named_weights(network)[name], value)


def test_the_promised_files_are_written_and_no_others(export_folder):
    rows = [FORMATS[name] for name in ("onnx", "saved_model", "safetensors")]
    names = {row.artifact for row in (*rows, SAMPLER_FORMATS["saved_model"])}
    assert {*os.listdir(export_folder)} == {*names, CARD_FILE}


def test_what_is_exported_is_the_average_of_the_weights_with_the_runs_card(run, export_folder):
    found = safetensors_loader.read(export_folder / "denoiser.safetensors")
    average, live = named_weights(run.model.ema_network), named_weights(run.model.network)
    for name, value in found.weights.items():
        np.testing.assert_array_equal(average[name], value)
    assert any(np.any(live[name] != value) for name, value in found.weights.items())
    card = found.card
    text = (export_folder / CARD_FILE).read_text(encoding="utf-8")
    assert card == DenoiserCard.from_json(text) == run.card
    assert card.images_seen == 2 * 3 * 24
    assert (card.dataset, card.preset, card.steps) == ("folder", "tiny", 3)
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
    assert images[0].shape == (2 * 2, *SHAPE)
    assert np.abs(images[0] - images[1]).max() <= 1
