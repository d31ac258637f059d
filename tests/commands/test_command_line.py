"""The commands, as a user types them, in an environment without TensorFlow and Keras."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdiffusion.__main__ import main as command
from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands.command_line import reporting_errors
from kdiffusion.commands.given_images import read_given_image
from kdiffusion.commands.seed_files import read_folder
from kdiffusion.diffusion.image_to_image import image_to_image
from kdiffusion.diffusion.interpolation import interpolate
from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import image_grid, to_uint8

ROOT = Path(__file__).parents[2]

# What only training and exporting may need. None in sys.modules makes an import fail.
_WITHOUT = ("tensorflow", "keras", "onnx", "tf2onnx")
_RUN = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({_WITHOUT}))
sys.argv = sys.argv[1:]
sys.argv.insert(0, "kdiffusion")
runpy.run_module("kdiffusion", run_name="__main__", alter_sys=True)
"""


def _run(*arguments, expect=0):
    """Runs `python -m kdiffusion COMMAND ARGUMENTS...` and returns (output, errors)."""
    process = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == expect, process.stderr
    assert "Traceback" not in process.stderr
    return process.stdout, process.stderr


@pytest.mark.parametrize("name", ["sample", "film", "interpolate", "likelihood", "evaluate", "web"])
def test_a_path_is_not_taken_for_a_released_model(name, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(name, "./digits", *["--labels", "1"] * (name == "interpolate"), status=1)
    assert "does not exist" in said
    assert "by name: " in said


@pytest.mark.parametrize("name", ["export", "export_sampler", "hub"])
def test_what_is_not_there_is_told_so(name, refused, tmp_path):
    said = refused(name, tmp_path / "nothing", "--out", tmp_path / "out", status=1)
    assert "nothing does not exist" in said


@pytest.fixture
def refused(capsys):
    """`refused(COMMAND, ARGUMENTS..., status=1)`: what a command says that ends with this status.

    In this process, as it takes a second to begin another; that no command needs TensorFlow to
    refuse is seen where it succeeds without.
    """

    def run(*arguments, status):
        with pytest.raises(SystemExit) as ended:
            command([*map(str, arguments)])
        error = capsys.readouterr().err
        assert ended.value.code == status, error
        return error

    return run


@pytest.fixture
def image_files(tmp_path):
    """A folder of image files, and of some that are none or of another size."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 256, (6, 4, 3), np.uint8)).save(folder / name)
    mask = np.zeros((6, 4), np.uint8)
    mask[3:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.new("L", (4, 6)).save(folder / "black.png")
    Image.new("L", (40, 60), "white").save(folder / "large.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_importing_the_package_imports_no_runtime():
    heavy = {*_WITHOUT, "onnxruntime"}
    program = (
        "import sys, kdiffusion.artifacts, kdiffusion.export; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert output.strip() == "[]"


def test_sample_draws_what_the_loop_draws(toy, tmp_path, card):
    options = ["--sampler", "ddim", "--steps", 4, "--guidance-strength", 0.5, "--seed", 5]
    outputs = ["--out", tmp_path / "grid.png", "--npz", tmp_path / "images.npz"]
    which = ["--labels", "ape", "0", "--per-label", 3]
    output, _ = _run("sample", toy, *which, *options, *outputs)
    assert str(tmp_path / "grid.png") in output
    arrays = np.load(tmp_path / "images.npz")
    assert arrays["labels"].tolist() == [2, 2, 2, 0, 0, 0]
    assert arrays["seeds"].tolist() == [5, 6, 7, 8, 9, 10]
    expected = sample(
        load_denoiser(toy), [2, 2, 2, 0, 0, 0], range(5, 11),
        sampler="ddim", steps=4, guidance_strength=0.5, progress=False,
    )  # fmt: skip
    assert arrays["images"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["images"], to_uint8(expected))
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.width > grid.height / 2 * 3 / 4  # two rows of three


def test_the_last_seed_can_be_drawn(toy, tmp_path):
    last = 2**64 - 1
    options = ["--labels", "0", "--per-label", 1, "--seed", last, "--steps", 2]
    out = ["--out", tmp_path / "a.png", "--npz", tmp_path / "a.npz"]
    _run("sample", toy, *options, *out)
    assert np.load(tmp_path / "a.npz")["seeds"].tolist() == [last]


@pytest.mark.parametrize(
    ("name", "kind", "scale", "size"),
    [("a.png", "PNG", (), (4, 6)), ("a.jpg", "JPEG", ("--scale", 5), (20, 30))],
)
def test_one_image_is_written_plain(toy, tmp_path, name, kind, scale, size):
    options = ["--label", "dog", "--per-label", 1, "--steps", 2, *scale]  # the old spelling, too
    out = ["--out", tmp_path / name, "--npz", tmp_path / "a.npz"]
    _run("sample", toy, *options, *out)
    (image,) = np.load(tmp_path / "a.npz")["images"].astype(int)
    with Image.open(tmp_path / name) as opened:
        assert (opened.format, opened.size) == (kind, size)
        small = np.asarray(opened.resize((4, 6), Image.Resampling.BOX)).astype(int)
    assert np.abs(small - image).max() <= (0 if kind == "PNG" else 8)


def test_what_is_not_said_comes_from_the_card(toy, tmp_path, card):
    for name, options in {
        "silent": [],
        "said": ["--sampler", card.sampler, "--steps", card.steps, "--guidance-strength", 1.0],
    }.items():
        files = ["--out", tmp_path / f"{name}.png", "--npz", tmp_path / f"{name}.npz"]
        _run("sample", toy, "--per-label", 2, *options, *files)
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
        (["--scale", "0"], 1, "`scale`"),
        (["--scale", "1000000000"], 1, "`scale`"),
        (["--out", "grid.bmp"], 1, ".jpeg, .webp"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    toy, tmp_path, refused, options, status, message
):
    before = os.listdir(tmp_path)
    out = ["--out", tmp_path / "grid.png", "--npz", tmp_path / "images.npz"]
    error = refused("sample", toy, *out, *options, status=status)
    assert message in error
    assert status == 2 or len(error.splitlines()) == 1
    assert os.listdir(tmp_path) == before


def test_evaluate_measures_drawn_digits(toy_file, tmp_path, card, monkeypatch):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    digits = {"image_shape": (8, 8, 1), "class_names": tuple("0123456789"), "null_label": 10}
    card = dataclasses.replace(card, dataset="digits", **digits)
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    options = ["--images", 100, "--steps", 2, "--features", "pixels", "--measures", "kernel"]
    out = ["--out", tmp_path / "out"]
    output, _ = _run("evaluate", file.write(tmp_path / "digits.onnx"), *options, *out)
    assert "Kernel distance" in output
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["sampler"]["steps"] == 2


def test_interpolate_draws_a_strip_of_frames(toy, tmp_path, card):
    options = ["--between-seeds", 4, 9, "--frames", 6, "--steps", 3, "--guidance-strength", 0]
    outputs = ["--out", tmp_path / "walk.png"]
    output, _ = _run("interpolate", toy, "--labels", "dog", *options, *outputs)
    assert str(tmp_path / "walk.png") in output
    frames = interpolate(
        load_denoiser(toy), 1, (4, 9), frames=6,
        sampler="ddim", steps=3, guidance_strength=0, progress=False,
    )  # fmt: skip
    with Image.open(tmp_path / "walk.png") as strip:
        np.testing.assert_array_equal(strip, image_grid(to_uint8(frames), 6))


def test_interpolate_walks_between_two_labels(toy, tmp_path, card):
    labels = ["--label", "dog", "none", "--seeds", 4, 4, "--steps", 2]  # as they were called
    outputs = ["--out", tmp_path / "walk.png", "--npz", tmp_path / "walk.npz"]
    _run("interpolate", toy, *labels, *outputs)
    expected = interpolate(load_denoiser(toy), (1, 3), (4, 4), steps=2, progress=False)
    np.testing.assert_array_equal(np.load(tmp_path / "walk.npz")["images"], to_uint8(expected))


def test_interpolate_walks_between_two_images_and_says_how_near_it_comes(
    toy, tmp_path, image_files
):
    ends = [image_files / "a.png", image_files / "b.png"]
    outputs = ["--out", tmp_path / "walk.png", "--npz", tmp_path / "walk.npz"]
    output, _ = _run("interpolate", toy, "--labels", 0, "--images", *ends, *outputs)
    assert "The ends differ from the images by" in output
    assert len(np.load(tmp_path / "walk.npz")["images"]) == 10


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--labels", "bird"], 1, "'cat', 'dog', 'ape'"),
        (["--labels", "all"], 1, "`labels`"),
        (["--labels", "cat", "--frames", "1"], 1, "`frames`"),
        (["--labels", "cat", "--between-seeds", "1", "-2"], 1, "seed"),
        (["--labels", "cat", "--between-seeds", "1"], 2, "--between-seeds"),
        (["--labels", "cat", "--sampler", "ddpm"], 1, "deterministic"),
        (["--labels", "cat", "--resize"], 1, "`resize`"),
        (
            ["--labels", "cat", "--images", "a.png", "b.png", "--between-seeds", "1", "2"],
            1,
            "`between_seeds`",
        ),
        (["--labels", "cat", "--images", "a.png", "b.png", "--sampler", "ddpm"], 1, "be inverted"),
        (["--labels", "cat", "--images", "a.png", "b.png", "--eta", "0.5"], 1, "deterministic"),
        (["--labels", "cat", "--images", "a.png", "large.png"], 1, "--resize"),
        (["--labels", "cat", "--images", "a.png", "notes.txt"], 1, "notes.txt"),
        ([], 2, "--labels"),
    ],
)
def test_a_walk_that_makes_no_sense_is_refused(
    toy, tmp_path, refused, image_files, options, status, message
):
    before = sorted(os.listdir(tmp_path))
    options = [image_files / text if text.endswith(("png", "txt")) else text for text in options]
    error = refused("interpolate", toy, "--out", tmp_path / "w.png", *options, status=status)
    assert message in error
    assert status == 2 or len(error.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_image_to_image_draws_what_the_library_draws(toy, tmp_path, image_files, card):
    options = ["--labels", "ape", "cat", "--strength", 0.4, "--per-label", 2, "--seed", 7]
    outputs = ["--out", tmp_path / "grid.png", "--npz", tmp_path / "images.npz"]
    _run("image_to_image", toy, image_files / "a.png", *options, "--steps", 3, *outputs)
    arrays = np.load(tmp_path / "images.npz")
    assert arrays["labels"].tolist() == [2, 2, 0, 0]
    assert arrays["seeds"].tolist() == [7, 8, 9, 10]
    assert arrays["seeds"].dtype == np.uint64
    given = read_given_image(image_files / "a.png", card)
    expected = image_to_image(
        load_denoiser(toy), given, [2, 2, 0, 0], range(7, 11),
        noise_level=0.4, steps=3, progress=False,
    )  # fmt: skip
    np.testing.assert_array_equal(arrays["images"], to_uint8(expected))


def test_inpaint_keeps_what_the_mask_does_not_mark(toy, tmp_path, image_files, card):
    options = ["--labels", "dog", "--per-label", 3, "--steps", 4, "--resamplings", 2]
    outputs = ["--out", tmp_path / "grid.png", "--npz", tmp_path / "images.npz"]
    files = [image_files / "a.png", image_files / "mask.png"]
    _run("inpaint", toy, *files, *options, "--jump-steps", 2, *outputs)
    arrays = np.load(tmp_path / "images.npz")
    assert arrays["seeds"].dtype == np.uint64
    images = arrays["images"]
    assert images.shape == (3, *card.image_shape)
    marked = np.asarray(Image.open(image_files / "mask.png")) == 255
    original = np.asarray(Image.open(image_files / "a.png"))
    np.testing.assert_array_equal(images[:, ~marked], np.tile(original[~marked], (3, 1, 1)))
    assert np.all(images[:, marked] != original[marked], axis=-1).any()


def test_film_writes_a_gif_and_a_strip(toy, tmp_path):
    options = ["--labels", "dog", "cat", "--per-label", 2, "--steps", 8, "--frames", 5]
    output, _ = _run("film", toy, *options, "--out", tmp_path / "film.gif")
    assert "film.gif" in output
    assert "0, 2, 4, 6, 8 of 8" in output
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.format == "GIF"
        assert gif.n_frames == 5
    with Image.open(tmp_path / "film.png") as strip:
        assert strip.format == "PNG"


@pytest.mark.parametrize(
    ("module", "options", "status", "message"),
    [
        ("image_to_image", ["a.png", "--labels", "0", "--strength", "0"], 1, "`noise_level`"),
        ("image_to_image", ["a.png", "--labels", "0", "--strength", "1.5"], 1, "`noise_level`"),
        ("image_to_image", ["large.png", "--labels", "0"], 1, "--resize"),
        ("image_to_image", ["notes.txt", "--labels", "0"], 1, "notes.txt"),
        ("image_to_image", ["a.png"], 2, "--labels"),
        ("image_to_image", ["a.png", "--labels", "0", "--strength", "0.2", "--steps", "9"], 1,
         "`steps`"),
        ("inpaint", ["a.png", "large.png", "--labels", "0"], 1, "large.png"),
        ("inpaint", ["a.png", "black.png", "--labels", "0"], 1, "`mask`"),
        ("inpaint", ["a.png", "mask.png", "--labels", "0", "--sampler", "unipc"], 1, "history"),
        ("inpaint", ["a.png", "mask.png", "--labels", "0", "--resamplings", "0"], 1, "resamplings"),
        ("film", ["--frames", "1"], 1, "`frames`"),
        ("film", ["--per-label", "3000"], 1, "65,535 pixels a side"),
        ("film", ["--steps", "0"], 1, "`steps`"),
        ("film", ["--guidance-interval", "2", "2"], 1, "`guidance_interval`"),
        ("sample", ["--guidance-interval", "1e8", "1e9"], 1, "`guidance_interval`"),
        ("sample", ["--eta", "0.5", "--sampler", "heun"], 1, "`eta`"),
        ("sample", ["--shard", "1/2"], 1, "`shard`"),
        ("sample", ["--seed", str(2**64 - 1), "--labels", "0", "--per-label", "2"], 1, "`seeds`"),
        ("sample", ["--seed", "-1"], 1, "`seeds`"),
        ("sample", ["--seeds", "5:5"], 1, "`seeds`"),
        ("sample", ["--seeds", "0:18446744073709551615"], 1, "`seeds`"),
        ("sample", ["--per-label", "10000000000000"], 1, "pixels in all"),
        ("sample", ["--seeds", "0:9", "--shard", "0/2"], 1, "`shard`"),
        ("sample", ["--seeds", "0:9", "--per-label", "8"], 1, "`per_label`"),
        ("sample", ["--seeds", "0:9", "--images-per-file", "0"], 1, "`images_per_file`"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_reason(
    toy, tmp_path, refused, image_files, module, options, status, message
):
    before = sorted(os.listdir(tmp_path))
    options = [image_files / text if text.endswith(("png", "txt")) else text for text in options]
    out = tmp_path / ("new.gif" if module == "film" else "new.png")
    error = refused(module, toy, *options, "--out", out, status=status)
    assert message in error
    assert status == 2 or len(error.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_two_shards_make_the_job(toy, tmp_path):
    options = ["--seeds", "0:10", "--images-per-file", 2, "--labels", "all", "none", "--steps", 2]
    for shard, drawn in (("2/2", 4), ("1/2", 6)):
        command = ["sample", toy, *options, "--shard", shard, "--out", tmp_path / "many"]
        output, _ = _run(*command)
        assert output.startswith(f"{drawn} images")
    output, _ = _run("sample", toy, *options, "--out", tmp_path / "many")
    assert output.startswith("0 images")
    assert "10 were there already" in output
    _, labels, seeds = map(np.concatenate, zip(*read_folder(tmp_path / "many"), strict=True))
    assert seeds.tolist() == list(range(10))
    assert labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("program", ["print('a' * 99_999)", "print('a')"])
def test_who_stops_reading_as_head_does_is_told_no_error(program):
    code = f"""
import sys
from kdiffusion.commands.command_line import reporting_errors
with reporting_errors():
    sys.stdin.read()
    {program}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenPipeError(32, "Broken pipe"), "error: [Errno 32] Broken pipe\n"),  # not of stdout
        (MemoryError("of an\narray"), "error: not enough memory: of an array\n"),
    ],
)
def test_what_a_user_can_do_something_about_is_one_line(error, said, capsys):
    with pytest.raises(SystemExit) as ended, reporting_errors():
        raise error
    assert ended.value.code == 1
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("existing", ["grid.png", "images.npz"])
def test_an_existing_output_is_refused_unless_told(toy, tmp_path, existing):
    (tmp_path / existing).write_text("mine")
    command = ["sample", toy, "--per-label", 1, "--steps", 1]
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
        ("sample", []),
        ("interpolate", ["--labels", "0"]),
        ("image_to_image", ["a.png", "--labels", "0"]),
        ("inpaint", ["a.png", "mask.png", "--labels", "0"]),
        ("film", []),
        ("evaluate", []),
        ("export", ["--formats", "onnx"]),
    ],
)
def test_a_path_that_is_not_there_is_one_line(module, arguments, tmp_path, refused):
    error = refused(module, tmp_path / "nowhere", *arguments, status=1)
    assert len(error.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path, refused):
    error = refused("export", tmp_path, "--formats", "tensorrt", status=2)
    assert "onnx" in error
    assert "saved_model" in error


@pytest.mark.parametrize("module", ["export", "export_sampler"])
def test_exporting_without_tensorflow_says_what_to_install(tmp_path, module):
    _, error = _run(module, tmp_path, expect=1)
    assert error.startswith("error: ")
    assert "pip install '.[train]'" in error
    assert len(error.splitlines()) == 1


def test_a_saved_model_without_tensorflow_says_what_to_install(tmp_path, card):
    (tmp_path / "saved_model" / "assets.extra").mkdir(parents=True)
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"")
    card_path = tmp_path / "saved_model" / "assets.extra" / "denoiser_card.json"
    card_path.write_text(card.to_json())
    _, error = _run("sample", tmp_path / "saved_model", expect=1)
    assert "pip install tensorflow" in error
