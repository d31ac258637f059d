"""Images that are wider than high, from the folder to the evaluation of what was drawn."""

import json

import numpy as np
import pytest
from PIL import Image

from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands import likelihood, sample
from kdiffusion.commands.train import parse
from kdiffusion.evaluation import command as evaluate
from kdiffusion.export import export_run
from kdiffusion.images import read_image
from kdiffusion.runs import train

pytestmark = pytest.mark.slow
SIZE = (8, 12)
SMALL = [
    "--model.base-channels", "4", "--model.channel-multipliers", "1", "2",
    "--model.attention-resolutions", "4", "--model.dtype-policy", "float32",
    "--optimizer.epochs", "2", "--optimizer.batch-size", "16", "--optimizer.warmup-steps", "0",
    "--sampling.steps", "2", "--run.sample-per-label", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on photographs of 20x30 pixels, brought to 8x12."""
    folder = tmp_path_factory.mktemp("wide")
    rng = np.random.default_rng(0)
    for name, colour in {"dark": 40, "light": 190}.items():
        (folder / "images" / name).mkdir(parents=True)
        for i in range(40):
            pixels = np.clip(rng.normal(colour, 25, (20, 30, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{i}.png")
    data = ["--data.name", "folder", "--data.directory", str(folder / "images")]
    data += ["--data.image-size", *map(str, SIZE)]
    train(parse(["digits", *data, *SMALL]).config, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def artifact(run):
    """In one format: tests/conformance holds every other to it, with a network of this shape."""
    return export_run(run, ("onnx",))["onnx"]


def test_it_draws(artifact, tmp_path):
    assert load_denoiser(artifact).card.image_shape == (*SIZE, 3)
    out = tmp_path / "drawn.png"
    sample.main(artifact, labels=("light",), per_label=1, out=out)
    assert read_image(out).shape == (*SIZE, 3)


def test_what_it_draws_is_measured_against_its_images(run, artifact, tmp_path, capsys):
    images = run.parent / "images"
    evaluate.main(
        artifact, data=str(images), images=20, measures=("grain", "copies"), features="pixels",
        network_images=8, out=tmp_path / "out",
    )  # fmt: skip
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["images"] == 20
    likelihood.main(
        artifact, data="folder", directory=images, images=4, steps=5, out=tmp_path / "bits.json"
    )
    assert "Held out of the training: folder" in capsys.readouterr().out
