"""The commands, as a user types them, in an environment without TensorFlow and Keras."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from export import load_denoiser
from kdiffusion.diffusion.interpolation import interpolate
from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import image_grid, to_uint8

# What only training and exporting may need. None in sys.modules makes an import fail.
_WITHOUT = ("tensorflow", "keras", "onnx", "tf2onnx")
_RUN = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({_WITHOUT}))
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def _run(*arguments, expect=0):
    """Runs `python -m MODULE ARGUMENTS...` and returns (standard output, standard error)."""
    process = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == expect, process.stderr
    assert "Traceback" not in process.stderr
    return process.stdout, process.stderr


def test_importing_the_package_imports_no_runtime():
    heavy = {*_WITHOUT, "onnxruntime"}
    program = f"import sys, export; print(sorted({heavy} & set(sys.modules)))"
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert output.strip() == "[]"


def test_sample_draws_what_the_loop_draws(toy, tmp_path, card):
    options = ["--sampler", "ddim", "--steps", 4, "--guidance-strength", 0.5, "--seed", 5]
    outputs = ["--out", tmp_path / "grid.png", "--npz", tmp_path / "images.npz"]
    which = ["--labels", "ape", "0", "--per-label", 3]
    output, _ = _run("export.sample", toy, *which, *options, *outputs)
    assert str(tmp_path / "grid.png") in output
    arrays = np.load(tmp_path / "images.npz")
    assert arrays["labels"].tolist() == [2, 2, 2, 0, 0, 0]
    assert arrays["seeds"].tolist() == [5, 6, 7, 8, 9, 10]
    expected = sample(
        load_denoiser(toy), card, [2, 2, 2, 0, 0, 0], range(5, 11),
        sampler="ddim", steps=4, guidance_strength=0.5, progress=False,
    )  # fmt: skip
    assert arrays["images"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["images"], to_uint8(expected))
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.width > grid.height / 2 * 3 / 4  # two rows of three


def test_what_is_not_said_comes_from_the_card(toy, tmp_path, card):
    for name, options in {
        "silent": [],
        "said": ["--sampler", card.sampler, "--steps", card.steps, "--guidance-strength", 1.0],
    }.items():
        files = ["--out", tmp_path / f"{name}.png", "--npz", tmp_path / f"{name}.npz"]
        _run("export.sample", toy, "--per-label", 2, *options, *files)
    said, silent = (np.load(tmp_path / f"{name}.npz")["images"] for name in ("said", "silent"))
    np.testing.assert_array_equal(silent, said)
    assert len(said) == 6  # all classes, two of each


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--labels", "bird"], 1, "'cat', 'dog', 'ape'"),
        (["--labels", "3"], 1, "'cat', 'dog', 'ape'"),
        (["--steps", "0"], 1, "`steps`"),
        (["--steps", "-3"], 1, "`steps`"),
        (["--steps", "21"], 1, "`steps`"),
        (["--steps", "many"], 2, "steps"),
        (["--sampler", "dimm"], 2, "ddim"),
        (["--per-label", "0"], 1, "`per_label`"),
        (["--guidance-strength", "nan"], 1, "`guidance_strength`"),
        (["--batch-size", "0"], 1, "`batch_size`"),
        (["--colour", "red"], 2, "--colour"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    toy, tmp_path, options, status, message
):
    before = os.listdir(tmp_path)
    out = ["--out", tmp_path / "grid.png", "--npz", tmp_path / "images.npz"]
    _, error = _run("export.sample", toy, *out, *options, expect=status)
    assert message in error
    assert status == 2 or len(error.splitlines()) == 1
    assert os.listdir(tmp_path) == before


def test_interpolate_draws_a_strip_of_frames(toy, tmp_path, card):
    options = ["--seeds", 4, 9, "--frames", 6, "--steps", 3, "--guidance-strength", 0]
    outputs = ["--out", tmp_path / "walk.png"]
    output, _ = _run("export.interpolate", toy, "--label", "dog", *options, *outputs)
    assert str(tmp_path / "walk.png") in output
    frames = interpolate(
        load_denoiser(toy), card, 1, (4, 9), frames=6,
        sampler="ddim", steps=3, guidance_strength=0, progress=False,
    )  # fmt: skip
    with Image.open(tmp_path / "walk.png") as strip:
        np.testing.assert_array_equal(strip, image_grid(to_uint8(frames), 6))


def test_interpolate_walks_between_two_labels(toy, tmp_path):
    labels = ["--label", "dog", "0", "--seeds", 4, 4, "--steps", 2]
    _run("export.interpolate", toy, *labels, "--out", tmp_path / "walk.png")
    assert (tmp_path / "walk.png").is_file()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--label", "bird"], 1, "'cat', 'dog', 'ape'"),
        (["--label", "all"], 1, "`label`"),
        (["--label", "cat", "--frames", "1"], 1, "`frames`"),
        (["--label", "cat", "--seeds", "1", "-2"], 1, "seed"),
        (["--label", "cat", "--seeds", "1"], 2, "--seeds"),
        (["--label", "cat", "--sampler", "ddpm"], 1, "deterministic"),
        ([], 2, "--label"),
    ],
)
def test_a_walk_that_makes_no_sense_is_refused(toy, tmp_path, options, status, message):
    out = ["--out", tmp_path / "walk.png"]
    _, error = _run("export.interpolate", toy, *out, *options, expect=status)
    assert message in error
    assert status == 2 or len(error.splitlines()) == 1
    assert os.listdir(tmp_path) == ["toy.onnx"]


@pytest.mark.parametrize("existing", ["grid.png", "images.npz"])
def test_an_existing_output_is_refused_unless_told(toy, tmp_path, existing):
    (tmp_path / existing).write_text("mine")
    command = ["export.sample", toy, "--per-label", 1, "--steps", 1]
    command += ["--out", tmp_path / "grid.png", "--npz", tmp_path / "images.npz"]
    _, error = _run(*command, expect=1)
    assert f"{existing} exists" in error
    assert (tmp_path / existing).read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == sorted([existing, "toy.onnx"])
    _run(*command, "--overwrite")
    assert sorted(os.listdir(tmp_path)) == ["grid.png", "images.npz", "toy.onnx"]
    assert (tmp_path / existing).read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("export.sample", []),
        ("export.interpolate", ["--label", "0"]),
        ("export", ["--formats", "onnx"]),
    ],
)
def test_a_path_that_is_not_there_is_one_line(module, arguments, tmp_path):
    _, error = _run(module, tmp_path / "nowhere", *arguments, expect=1)
    assert len(error.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    _, error = _run("export", tmp_path, "--formats", "tensorrt", expect=2)
    assert "onnx" in error
    assert "saved_model" in error


def test_a_saved_model_without_tensorflow_says_what_to_install(tmp_path, card):
    (tmp_path / "saved_model" / "assets.extra").mkdir(parents=True)
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"")
    card_path = tmp_path / "saved_model" / "assets.extra" / "denoiser_card.json"
    card_path.write_text(card.to_json())
    _, error = _run("export.sample", tmp_path / "saved_model", expect=1)
    assert "pip install tensorflow" in error
