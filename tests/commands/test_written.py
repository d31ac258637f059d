"""What a command writes is what the library draws, in the place that its row says."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands import evaluate, film, inpaint, likelihood, sample
from kdiffusion.commands.film import film as film_of
from kdiffusion.commands.given_images import read_given_image, read_mask
from kdiffusion.commands.grids import grid_beside
from kdiffusion.commands.sampling_flags import SamplingFlags
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.inpainting import inpaint as inpaint_of
from kdiffusion.diffusion.likelihood import variational_bound
from kdiffusion.diffusion.sampling import sample as sample_of
from kdiffusion.images import image_grid, to_uint8
from tests.commands.test_likelihood import digits_file, write_digits_file  # noqa: F401

LABELS, TWO = ("ape", "cat"), [2, 2, 0, 0]


def test_the_grid_of_sample_has_each_image_in_the_row_of_its_label(toy, tmp_path):
    out = tmp_path / "grid.png"
    sample.main(toy, labels=LABELS, per_label=2, seed=5, out=out)
    images = to_uint8(sample_of(load_denoiser(toy), TWO, range(5, 9), progress=False))
    with Image.open(out) as grid:
        np.testing.assert_array_equal(grid, image_grid(images, 2, row_labels=["ape", "cat"]))


def test_inpaint_paints_what_the_library_paints(toy, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (6, 4, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.repeat(np.uint8([0, 0, 0, 255, 255, 255]), 4).reshape(6, 4)).save(
        tmp_path / "mask.png"
    )
    options = {"resamplings": 2, "jump_steps": 2}
    inpaint.main(
        toy, tmp_path / "a.png", tmp_path / "mask.png", LABELS, per_label=2, seed=7,
        sampling=SamplingFlags(steps=4), out=tmp_path / "x.png", npz=tmp_path / "x.npz", **options,
    )  # fmt: skip
    denoiser = load_denoiser(toy)
    given = read_given_image(tmp_path / "a.png", denoiser.card)
    marked = read_mask(tmp_path / "mask.png", denoiser.card)
    expected = to_uint8(
        inpaint_of(denoiser, given, ~marked, TWO, range(7, 11), steps=4, progress=False, **options)
    )
    arrays = np.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(arrays["images"], expected)
    assert (arrays["labels"].tolist(), arrays["seeds"].tolist()) == (TWO, [7, 8, 9, 10])
    whole = to_uint8(given)
    hole = np.where(marked[..., None], np.uint8(128), whole)
    with Image.open(tmp_path / "x.png") as grid:
        want = grid_beside([whole, hole], expected, [2, 0], denoiser.card.class_names)
        np.testing.assert_array_equal(grid, want)


@pytest.mark.parametrize("show", ["image", "prediction"])
def test_a_film_and_its_strip_are_of_the_images_that_were_asked_for(toy, tmp_path, show):
    film.main(
        toy, labels=LABELS, per_label=2, seed=7, frames=4, show=show,
        sampling=SamplingFlags(steps=6), out=tmp_path / "f.gif",
    )  # fmt: skip
    frames, _ = film_of(
        load_denoiser(toy),
        np.array(TWO),
        range(7, 11),
        frames=4,
        show=show,
        steps=6,
        progress=False,
    )
    with Image.open(tmp_path / "f.png") as strip:
        rows = np.concatenate([frames[:, image] for image in range(4)])  # an image's way is a row
        names = ["ape", "ape", "cat", "cat"]
        np.testing.assert_array_equal(strip, image_grid(rows, 4, row_labels=names))
    with Image.open(tmp_path / "f.gif") as gif:
        for number, frame in enumerate(frames):
            gif.seek(number)
            want = np.asarray(image_grid(frame, 2, row_labels=["ape", "cat"])).astype(int)
            assert np.abs(np.asarray(gif.convert("RGB")) - want).mean() < 8  # of 256 colours


def test_the_variance_that_is_named_is_the_one_that_is_taken(digits_file, capsys):  # noqa: F811
    likelihood.main(digits_file, images=3, steps=5, variance="fixed_small")
    total = float(capsys.readouterr().out.splitlines()[1].split()[2])
    digits = load_dataset("digits")
    rows = likelihood.spread_over_classes(digits.validation_labels, 3)
    bound = variational_bound(
        load_denoiser(digits_file), digits.validation_images[rows],
        digits.validation_labels[rows], range(3), steps=5, variance="fixed_small", progress=False,
    )  # fmt: skip
    assert total == pytest.approx(bound.total.mean(), abs=1e-4)


def test_a_network_of_ones_own_is_given_pixels_in_the_range_that_is_asked_for(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["x"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Flatten", ["small"], ["features"]),
        ],
        "means",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4])],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "n.onnx")
    digits = load_dataset("digits")
    np.savez(tmp_path / "set.npz", arr_0=digits.validation_images // 2)
    found = []
    for feature_range in ((0.0, 255.0), (0.0, 1.0)):
        out = tmp_path / str(feature_range[1])
        evaluate.main(
            tmp_path / "set.npz", data="digits", measures=("frechet",), out=out,
            features=str(tmp_path / "n.onnx"), feature_range=feature_range,
        )  # fmt: skip
        found.append(json.loads((out / "evaluation.json").read_text())["frechet_distance"])
    assert found[0] == pytest.approx(255**2 * found[1], rel=1e-3)
