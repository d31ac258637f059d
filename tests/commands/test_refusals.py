"""What can't be is refused alike by every command that samples, before anything is written."""

import json

import numpy as np
import pytest
from PIL import Image

from kdiffusion.__main__ import main

COMMANDS = {
    "sample": ["sample", "digits.onnx", "--out", "out.png", "--npz", "out.npz", "--overwrite"],
    "sample_many": ["sample_many", "digits.onnx", "--seeds", "0:2"],
    "interpolate": ["interpolate", "digits.onnx", "--labels", "3"],
    "interpolate images": [
        "interpolate", "digits.onnx", "--labels", "3", "--images", "image.png", "image.png",
        "--guidance-strength", "1",
    ],
    "image_to_image": ["image_to_image", "digits.onnx", "image.png", "--labels", "3"],
    "inpaint": ["inpaint", "digits.onnx", "image.png", "image.png", "--labels", "3"],
    "film": ["sample", "digits.onnx", "--labels", "3", "--out", "out.gif", "--overwrite"],
    "evaluate": [
        "evaluate", "digits.onnx", "--images", "3", "--measures", "grain", "--network-images", "1",
        "--overwrite",
    ],
}  # fmt: skip
OVERWRITTEN = [
    "out.png", "out.npz", "out.gif", "evaluation/evaluation.json", "evaluation/report.html",
    "evaluation/samples/job.json",
]  # fmt: skip
# One of each kind; tests/diffusion has the others.
REFUSED = [
    "--steps 5000",
    "--timesteps 20",
    "--sampler fitted",
    "--guidance-interval 500 1000",
    "--guidance-interval 0 0.2 --steps 1",  # between two steps
    "--guidance-strength nan",
    "--batch-size 0",
]


def _tree(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def refuse(digits_file, tmp_path, tmp_path_factory, monkeypatch, capsys):
    """`refuse(ARGUMENTS...)`: that the command ends with few words, and touches no file."""
    digits_file()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    (tmp_path / "evaluation" / "samples").mkdir(parents=True)
    for name in OVERWRITTEN:
        (tmp_path / name).write_text("of before")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))

    def run(*arguments):
        before = _tree(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        assert _tree(tmp_path) == before
        said = str(ended.value.code)
        # Either our one line, or tyro's frame around what is wrong with an option.
        framed = said == "2" and "Error parsing" in capsys.readouterr().err
        assert said.startswith("error: ") or framed
        return said

    return run


@pytest.mark.parametrize("options", REFUSED)
def test_options_that_no_model_or_this_one_cannot_be_sampled_with(refuse, options):
    for arguments in COMMANDS.values():
        refuse(*arguments, *options.split())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sample", "--npz out.png"),  # of the same name: one would be lost
        ("interpolate", "--out walk.npz --npz walk.npz"),
        ("sample", "--labels bird"),
        ("sample", "--out grid.bmp"),
        ("sample", "--per-label 0"),
        ("sample", "--scale 100000"),
        ("sample_many", "--images-per-file -5"),
        ("sample_many", "--seeds 9:9"),
        ("sample_many", "--shard 3/2"),
        ("interpolate", "--frames 0"),
        ("interpolate", "--sampler ddpm"),
        ("inpaint", "--resamplings 0"),
        ("inpaint", "--jump-steps 0"),
        ("image_to_image", "--out film.gif"),
        ("evaluate", "--images 0"),
        ("evaluate", "--network-images -1"),
        *((name, "--labels") for name in COMMANDS if name != "evaluate"),
    ],
)
def test_values_that_cannot_be(refuse, name, options):
    refuse(*COMMANDS[name], *options.split())


def test_a_sampler_is_fitted_to_images_and_into_a_file_of_its_own(refuse):
    for options in ("--seeds 0", "--batch-size 0", "--steps 100", "--out digits.onnx"):
        refuse("fit_sampler", "digits.onnx", *options.split())


@pytest.mark.parametrize("seed", [-1, 2**64])
@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"interpolate images"}))  # has no seeds
def test_a_seed_that_there_is_not(refuse, name, seed):
    flags = {
        "sample_many": ["--seeds", f"{seed}:{seed + 1}"],
        "interpolate": ["--between-seeds", seed, 2],
    }
    refuse(*COMMANDS[name], *flags.get(name, ["--seed", seed]))


@pytest.mark.parametrize("options", ["--timesteps 9", "--guidance-interval 0 inf"])
def test_what_one_command_takes_every_command_takes(digits_file, refuse, tmp_path, options, capsys):
    """The interval is a recommendation: steps that miss it are plain."""
    digits_file(guidance_interval=(3.0, 5.0))
    for arguments in COMMANDS.values():
        main([*arguments, *options.split(), "--batch-size", "2"])
    for folder in (tmp_path, tmp_path / "evaluation"):
        text = (folder / "samples" / "job.json").read_text(encoding="utf-8")
        settings = json.loads(text, parse_constant=pytest.fail)["settings"]
        assert settings["guidance_interval"] == (None if "inf" in options else [3.0, 5.0])
    assert "of before" not in [(tmp_path / name).read_text("latin-1") for name in OVERWRITTEN]
