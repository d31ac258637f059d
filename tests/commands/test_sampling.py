"""The commands that sample write what the library samples, in the place that its row says."""

import numpy as np
import pytest
from PIL import Image

import kdiffusion as kd
from kdiffusion.__main__ import main
from kdiffusion.commands.inputs import read_given_image
from kdiffusion.commands.outputs import grid_by_class
from kdiffusion.diffusion.seeded_noise import initial_latents
from tests.data.made_up import random_pixels, write_folder
from tests.onnx_models import write_upsampler

LABELS, TWO = ["--labels", "ape", "cat", "--per-label", 2, "--seed", 7], [2, 2, 0, 0]
SEEDS = range(7, 11)


@pytest.fixture
def run(toy, tmp_path, monkeypatch):
    """`run(COMMAND, ARGUMENTS...)`, on the toy denoiser and in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def called(name, *arguments):
        main([name, str(toy), *map(str, arguments)])
        return folder

    return called


@pytest.fixture
def pictures(tmp_path):
    """Paths of an image and of a mask whose lower half is white."""
    mask = np.repeat(np.uint8([0, 255]), 3)[:, None].repeat(4, axis=1)
    write_folder(tmp_path, {"a.png": random_pixels(1, (6, 4, 3))[0], "mask.png": mask})
    return tmp_path / "a.png", tmp_path / "mask.png"


def _check_arrays(path, images, labels=TWO, seeds=SEEDS):
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["images"], kd.to_uint8(images))
        assert (arrays["labels"].tolist(), arrays["seeds"].tolist()) == (labels, [*seeds])
        assert arrays["seeds"].dtype == np.uint64
        return arrays["images"]


def test_a_grid_has_each_image_in_the_row_of_its_label(run, toy):
    options = ["--sampler", "ddim", "--steps", 4, "--guidance-strength", 0.5]
    folder = run("sample", *LABELS, *options, "--out", "grid.png", "--npz", "images.npz")
    expected = kd.sample(
        kd.load_denoiser(toy), TWO, SEEDS,
        sampler="ddim", steps=4, guidance_strength=0.5, progress=False,
    )  # fmt: skip
    images = _check_arrays(folder / "images.npz", expected)
    with Image.open(folder / "grid.png") as grid:
        np.testing.assert_array_equal(grid, kd.image_grid(images, 2, row_labels=["ape", "cat"]))


def test_what_is_not_given_comes_from_the_card_and_is_printed(run, toy, capsys):
    folder = run("sample", "--npz", "images.npz")
    labels = np.repeat(range(3), 8)
    expected = kd.sample(kd.load_denoiser(toy), labels, progress=False)
    _check_arrays(folder / "images.npz", expected, labels.tolist(), range(24))
    assert "24 images (ddim, 5 steps, guidance strength 1) in" in capsys.readouterr().out


def test_the_default_output_gets_a_number_and_a_named_one_is_protected(run, capsys):
    few = ["--per-label", 1, "--steps", 1]
    for name in ("samples.png", "samples_2.png", "samples_3.png"):
        folder = run("sample", *few)
        assert capsys.readouterr().out.strip().endswith(f": {name}")
    (folder / "mine.png").write_text("mine")
    for outputs in (["--out", "mine.png"], ["--npz", "mine.png"]):
        with pytest.raises(SystemExit, match=r"mine\.png exists"):
            run("sample", *few, *outputs)
    assert (folder / "mine.png").read_text() == "mine"
    run("sample", *few, "--out", "mine.png", "--overwrite")
    assert (folder / "mine.png").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("name", "kind", "scale", "size"),
    [("a.png", "PNG", (), (4, 6)), ("a.jpg", "JPEG", ("--scale", 5), (20, 30))],
)
def test_one_image_is_written_plain(run, name, kind, scale, size):
    options = ["--labels", "dog", "--per-label", 1, "--steps", 2, *scale]
    folder = run("sample", *options, "--out", name, "--npz", "a.npz")
    (image,) = np.load(folder / "a.npz")["images"].astype(int)
    with Image.open(folder / name) as opened:
        assert (opened.format, opened.size) == (kind, size)
        small = np.asarray(opened.resize((4, 6), Image.Resampling.BOX)).astype(int)
    assert np.abs(small - image).max() <= (0 if kind == "PNG" else 8)


def test_the_last_seed_can_be_sampled(run):
    last = 2**64 - 1
    folder = run("sample", "--labels", 0, "--per-label", 1, "--seed", last, "--npz", "a.npz")
    assert np.load(folder / "a.npz")["seeds"].tolist() == [last]


@pytest.mark.parametrize(
    ("labels", "seeds", "arguments"),
    [(1, (4, 9), ["dog", "--between-seeds", 4, 9]), ((1, 3), (1, 2), ["dog", "none"])],
)
def test_a_walk_is_the_librarys(run, toy, labels, seeds, arguments):
    folder = run("interpolate", "--labels", *arguments, "--frames", 6, "--steps", 3)
    frames = kd.interpolate(kd.load_denoiser(toy), labels, seeds, frames=6, steps=3, progress=False)
    with Image.open(folder / "walk.png") as strip:
        np.testing.assert_array_equal(strip, kd.image_grid(kd.to_uint8(frames), 6))


def test_image_to_image_makes_what_the_library_makes(run, toy, card, pictures):
    options = ["--strength", 0.4, "--steps", 3, "--npz", "images.npz"]
    folder = run("image_to_image", pictures[0], *LABELS, *options)
    given = read_given_image(pictures[0], card)
    expected = kd.image_to_image(
        kd.load_denoiser(toy), given, TWO, SEEDS, strength=0.4, steps=3, progress=False
    )
    images = _check_arrays(folder / "images.npz", expected)
    with Image.open(folder / "variations.png") as grid:
        want = grid_by_class(images, [2, 0], card.class_names, beside=[kd.to_uint8(given)])
        np.testing.assert_array_equal(grid, want)


def test_inpaint_paints_what_the_library_paints(run, toy, card, pictures, capsys):
    image, mask = pictures
    options = ["--resamplings", 2, "--jump-steps", 2, "--steps", 4, "--npz", "images.npz"]
    folder = run("inpaint", image, mask, *LABELS, *options)
    given, marked = read_given_image(image, card), np.asarray(Image.open(mask)) == 255
    expected = kd.inpaint(
        kd.load_denoiser(toy), given, ~marked, TWO, SEEDS,
        steps=4, resamplings=2, jump_steps=2, progress=False,
    )  # fmt: skip
    images = _check_arrays(folder / "images.npz", expected)
    assert "(ddpm, 4 steps" in capsys.readouterr().out
    hole = np.where(marked[..., None], np.uint8(128), kd.to_uint8(given))
    with Image.open(folder / "inpainted.png") as grid:
        before = [kd.to_uint8(given), hole]
        want = grid_by_class(images, [2, 0], card.class_names, beside=before)
        np.testing.assert_array_equal(grid, want)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_a_film_goes_from_the_noise_to_the_images(run, toy, batch_size):
    options = ["--sampler", "ddpm", "--steps", 5, "--batch-size", batch_size]
    folder = run("sample", *LABELS, *options, "--out", "f.gif", "--npz", "images.npz")
    denoiser = kd.load_denoiser(toy)
    seen = [kd.to_uint8(initial_latents(SEEDS, denoiser.card.image_shape))]
    images = kd.sample(
        denoiser, TWO, SEEDS, sampler="ddpm", steps=5, progress=False,
        callback=lambda index, t, x, x0: seen.append(kd.to_uint8(x)),
    )  # fmt: skip
    _check_arrays(folder / "images.npz", images)
    with Image.open(folder / "f.gif") as gif:
        assert (gif.info["duration"], gif.info["loop"]) == (80, 0)
        for number, frame in enumerate(seen):
            gif.seek(number)
            want = np.asarray(kd.image_grid(frame, 2, row_labels=["ape", "cat"])).astype(int)
            assert np.abs(np.asarray(gif.convert("RGB")) - want).mean() < 8  # of 256 colours


def test_samples_and_images_are_made_larger(run, toy, card, pictures, tmp_path):
    """By a file whose prediction of x_0 is the image that it is given."""
    upsampler = write_upsampler(tmp_path / "upsampler.onnx", card, (12, 8, 3))
    folder = run("sample", *LABELS, "--npz", "images.npz", "--upsample", upsampler)
    small = kd.sample(kd.load_denoiser(toy), TWO, SEEDS, progress=False)
    model = kd.load_denoiser(upsampler)
    large = kd.upsample(model, small, SEEDS, condition_noise=0.05, progress=False)
    _check_arrays(folder / "images.npz", large)
    main(["upsample", str(pictures[0]), "--model", str(upsampler), "--out", "a.png"])
    want = kd.upsample(
        model, read_given_image(pictures[0], kd.load_denoiser(toy).card)[None], progress=False
    )
    with Image.open("a.png") as got:
        np.testing.assert_array_equal(got, kd.to_uint8(want)[0])
