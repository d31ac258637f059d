"""A run whose model is conditioned on numbers and on an image: from the folder to the file."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from kdiffusion import load_denoiser
from kdiffusion.commands.train import finish
from kdiffusion.data.loading import load_as_split
from kdiffusion.parts.evaluation.evaluation import network_figures
from kdiffusion.parts.evaluation.real_images import conditions_to_sample
from kdiffusion.runs.build import load_run
from kdiffusion.runs.run import train
from tests.data.made_up import write_folder
from tests.runs.conftest import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of one grey each, in two classes, and how light each is in tens."""
    folder = tmp_path_factory.mktemp("greys")
    levels = {f"{name}/{level}.png": level for name in ("a", "b") for level in range(8, 248, 12)}
    write_folder(folder, {n: np.full((8, 8), level, np.uint8) for n, level in levels.items()})
    rows = [f"{name},{level / 10}" for name, level in levels.items()]
    (folder / "metadata.csv").write_text("\n".join(["file_name,light", *rows]))
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    data = {"name": "folder", "directory": str(folder), "numbers": ["light"], "condition": "edges"}
    config = tiny(data=data, optimizer={"epochs": 2, "batch_size": 8})
    return train(config, tmp_path_factory.mktemp("run"), at_end=finish)


def test_the_card_and_the_folder_say_what_it_is_conditioned_on(run):
    (light,) = run.card.numbers
    assert light.name == "light"
    assert 0.79 < light.low < light.mean < light.high < 23.61
    assert (run.card.image.channels, run.card.image.meaning) == (1, "edges")
    content = json.loads((run.directory.path / "config.json").read_text())
    assert content["numbers"][0]["mean"] == light.mean
    assert load_run(run.directory.path).card == run.card
    assert (run.directory.path / "samples.png").exists()


def test_it_resumes(run):
    resumed = train(run.directory.config, run.directory.path, resume=True)
    assert resumed.first_step == run.model.step.numpy() == 8


def test_it_is_evaluated_by_the_conditions_of_held_out_images(run, folder):
    """Four are held out: those of seeds 0 to 3, and again."""
    denoiser = load_denoiser(run.directory.path / "export" / "denoiser.onnx")
    dataset, said = load_as_split(denoiser.card, str(folder))
    assert said.startswith("Held out of the training")
    conditions = conditions_to_sample(denoiser.card, dataset)
    asked = dataset.asked(np.arange(4))
    np.testing.assert_array_equal(conditions.numbers[:, 0], asked["numbers"]["light"])
    np.testing.assert_array_equal(conditions.image, asked["image"])
    real = SimpleNamespace(dataset=dataset, class_names=dataset.class_names)
    figures = network_figures(run.model.denoiser(run.card), real, 4, progress=False)
    assert np.isfinite(figures["x0_errors"]).all()
