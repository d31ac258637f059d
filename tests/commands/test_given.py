"""The commands on a model that is conditioned on a number and an image, beside a class."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

import kdiffusion as kd
from kdiffusion.__main__ import main
from kdiffusion.diffusion.card import ConditionImage, Number
from kdiffusion.images import to_model_range
from tests.data.made_up import random_pixels, write_folder
from tests.onnx_models import make_denoiser


@pytest.fixture
def drawings(tmp_path):
    """Two images in a folder, uint8 `[2, 6, 4, 3]`."""
    pixels = random_pixels(2, (6, 4, 3))
    write_folder(tmp_path / "drawings", {"a.png": pixels[0], "b.png": pixels[1]})
    return pixels


@pytest.fixture
def run(card, tmp_path, monkeypatch, drawings):
    """`run(COMMAND, ARGUMENTS...)`, on a file that predicts x_0: the image times the number."""
    monkeypatch.chdir(tmp_path)
    given = {
        "numbers": (Number(name="light", mean=0.5, std=0.3),),
        "image": ConditionImage(channels=3, meaning="a drawing"),
    }
    card = dataclasses.replace(card, prediction_type="x0", guidance_strength=0.0, **given)
    nodes = [
        helper.make_node("Reshape", ["numbers", "column"], ["light"]),
        helper.make_node("Mul", ["image", "light"], ["prediction"]),
    ]
    model = make_denoiser(
        nodes, card.image_shape, card.to_json(), {"column": [-1, 1, 1, 1]},
        numbers=["batch", 1], image=["batch", *card.image_shape],
    )  # fmt: skip
    onnx.save(model, tmp_path / "model.onnx")
    return lambda name, *arguments: main([name, "model.onnx", *map(str, arguments)])


def _check(file, expected):
    with np.load(file) as arrays:
        np.testing.assert_array_equal(arrays["images"], kd.to_uint8(np.stack(expected)))


def test_each_class_gets_each_image(run, drawings):
    a, b = to_model_range(drawings) * 0.5
    given = ["--labels", "cat", "ape", "--numbers", "light=0.5", "--condition-images", "drawings"]
    run("sample", *given, "--npz", "images.npz")
    _check("images.npz", [a, b, a, b])
    run("sample_many", *given, "--seeds", "3:8")
    with np.load("samples/images_00000003-00000007.npz") as arrays:
        assert arrays["labels"].tolist() == [2, 0, 0, 2, 2]
    _check("samples/images_00000003-00000007.npz", [b, a, b, a, b])
    with pytest.raises(SystemExit, match="other settings: numbers"):
        run("sample_many", *(each.replace("0.5", "0.2") for each in given), "--seeds", "3:8")


def test_a_walk_goes_from_one_number_to_another(run, drawings):
    (a, _) = to_model_range(drawings)
    given = ["--labels", "cat", "--condition-images", "drawings/a.png", "--frames", 3]
    run("interpolate", *given, "--numbers", "light=0:1", "--npz", "walk.npz")
    _check("walk.npz", [0 * a, 0.5 * a, a])
    run("interpolate", *given, "--numbers", "light=0.25", "--npz", "still.npz")
    _check("still.npz", [0.25 * a] * 3)


def test_an_image_is_varied_and_filled_in_by_what_is_given(run, drawings):
    a, b = to_model_range(drawings)
    given = ["--labels", "cat", "--numbers", "light=0.5", "--condition-images", "drawings/a.png"]
    run("image_to_image", "drawings/b.png", *given, "--per-label", 2, "--npz", "varied.npz")
    _check("varied.npz", [0.5 * a] * 2)
    mask = np.zeros((6, 4), np.uint8)
    mask[3:] = 255
    Image.fromarray(mask).save("mask.png")
    run("inpaint", "drawings/b.png", "mask.png", *given, "--per-label", 1, "--npz", "whole.npz")
    _check("whole.npz", [np.where(mask[..., None] > 0, 0.5 * a, b)])


def test_a_sampler_is_fitted_to_the_conditions_of_a_data_set(run, tmp_path, capsys):
    levels = {f"{name}/{i}.png": i for name in ("cat", "dog", "ape") for i in range(4)}
    for root in ("photos", "pairs"):
        files = {name: np.full((6, 4, 3), 60 * i, np.uint8) for name, i in levels.items()}
        write_folder(tmp_path / root, files)
    rows = ["file_name,light", *(f"{name},{i / 4}" for name, i in levels.items())]
    (tmp_path / "photos" / "metadata.csv").write_text("\n".join(rows))
    few = ["--steps", 2, "--seeds", 6, "--out", "few.onnx", "--data", "photos"]
    with pytest.raises(SystemExit, match="`image` must be given"):
        run("fit_sampler", *few)
    run("fit_sampler", *few, "--condition-directory", "pairs")
    card = kd.load_denoiser("few.onnx").card
    assert (card.sampler, card.steps, card.numbers[0].name) == ("fitted", 2, "light")
