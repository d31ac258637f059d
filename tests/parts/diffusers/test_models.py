"""Models that diffusers saved, against what diffusers computed.

The folders in `examples` are diffusers' own, and so are the numbers, which
`python -m benchmarks.diffusers_exactness --record` wrote.
"""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kdiffusion.artifacts import load_denoiser
from kdiffusion.atomic_files import sha256_of
from kdiffusion.diffusion.sampling import sample, sampling_steps
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.images import to_uint8
from kdiffusion.parts.diffusers import network
from kdiffusion.parts.diffusers.folder import WEIGHTS, read
from kdiffusion.parts.diffusers.reader import label_table, main
from kdiffusion.parts.diffusers.scheduler import sampling_of, schedule_of

EXAMPLES = Path(__file__).parent / "examples"
GOLDEN = Path(__file__).parents[2] / "golden" / "denoiser.onnx"
# Name ► (row of no label, shape, classes).
CASES = {
    "cifar10": (None, (8, 8, 3), 1),
    "unconditional": (None, (8, 8, 3), 1),
    "classes": (3, (8, 8, 1), 3),
    "half": (None, (8, 16, 3), 1),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Name ► Denoiser of the imported file, made when it is asked for."""

    @functools.cache
    def of(name):
        folder = tmp_path_factory.mktemp(name)
        main(EXAMPLES / name, folder, null_row=CASES[name][0])
        return load_denoiser(folder / "denoiser.safetensors")

    return of


@pytest.mark.parametrize("name", CASES)
def test_it_predicts_and_samples_what_diffusers_did(imported, name):
    denoiser, numbers = imported(name), np.load(EXAMPLES / f"{name}.npz")
    _, shape, classes = CASES[name]
    assert denoiser.card.image_shape == shape
    assert denoiser.card.null_label == classes
    predicted = denoiser(numbers["noisy_images"], numbers["timesteps"], numbers["labels"])
    np.testing.assert_allclose(predicted, numbers["prediction"], rtol=0, atol=1e-5)
    assert predicted.std() > 0.1
    np.testing.assert_allclose(
        denoiser.card.alphas_cumprod, numbers["alphas_cumprod"], rtol=1e-4, atol=1e-9
    )
    steps = sampling_steps(
        denoiser, numbers["labels"][-2:], [0, 1], sampler="ddim", steps=50, spacing="leading",
        guidance_strength=0,
    )  # fmt: skip
    trajectory = np.stack([step.x for step in steps])[[0, 24, 49]]
    assert np.abs(127.5 * (trajectory - numbers["trajectory"])).max() < 1


def test_the_card_says_what_the_pipeline_samples_with_and_whence_it_came(imported):
    denoiser, numbers = imported("cifar10"), np.load(EXAMPLES / "cifar10.npz")
    card = denoiser.card
    assert (card.sampler, card.steps, card.prediction_type) == ("ddpm", 1000, "epsilon")
    assert card.schedule == make_schedule("linear", 1000)  # to the bit, so that a run says nothing
    assert (card.spacing, card.clip, card.variance) == ("leading", True, "fixed_large")
    assert read(EXAMPLES / "cifar10").without == []
    digest = sha256_of(EXAMPLES / "cifar10" / WEIGHTS)
    assert (card.parent.name, card.parent.sha256) == ("cifar10", digest)
    assert card.class_names == ("image",)
    # Its label says nothing.
    arrays = numbers["noisy_images"], numbers["timesteps"]
    np.testing.assert_array_equal(denoiser(*arrays, [0, 0]), denoiser(*arrays, [1, 1]))


def test_rows_of_the_label_table_are_classes_and_no_class():
    """That they reach the file is the case `classes`."""
    model = read(EXAMPLES / "classes")
    table = model.tensors["class_embedding.weight"]
    found, names = label_table(model, (), -1)
    np.testing.assert_array_equal(found, table)
    assert names == ("0", "1", "2")
    found, names = label_table(model, ("a", "b", "c"), 1)
    np.testing.assert_array_equal(found, table[[0, 2, 3, 1]])
    assert names == ("a", "b", "c")
    found, _ = label_table(model, (), None)
    np.testing.assert_array_equal(found[:4], table)
    np.testing.assert_allclose(found[4], table.mean(axis=0), atol=1e-7)


def test_each_class_needs_a_name(tmp_path):
    with pytest.raises(ValueError, match="`null_label` must be the number of classes"):
        main(str(EXAMPLES / "classes"), tmp_path, class_names=("a", "b"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("read", "field", "value"),
    [
        (network.arguments_of, "up_block_types", ["SkipUpBlock2D"] * 3),
        (network.arguments_of, "act_fn", "gelu"),
        (network.arguments_of, "a_new_field", 3),
        (schedule_of, "prediction_type", "another"),
        (schedule_of, "beta_schedule", "another"),
        (schedule_of, "a_new_field", "another"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_field(read, field, value):
    part = "scheduler/scheduler_config" if read is schedule_of else "unet/config"
    config = json.loads((EXAMPLES / "unconditional" / f"{part}.json").read_text())
    with pytest.raises(ValueError, match=field):
        read({**config, field: value})


@pytest.fixture
def copy(tmp_path):
    """A folder of diffusers' that a test may spoil."""
    return Path(shutil.copytree(EXAMPLES / "unconditional", tmp_path / "theirs"))


def test_a_pickle_is_never_opened(copy):
    weights = copy / "unet" / WEIGHTS
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(FileNotFoundError, match=WEIGHTS):
        read(copy)
    weights.write_bytes(b"\x80\x04N." * 9)  # a pickle, under the name of the other format
    with pytest.raises(Exception, match="header"):
        read(copy)


def test_tensors_that_are_missing_or_too_many_are_named(copy, tmp_path):
    tensors = load_file(copy / "unet" / WEIGHTS)
    first = "down_blocks.0.resnets.0.conv1.weight"
    save_file({**tensors, "more": tensors[first]}, copy / "unet" / WEIGHTS)
    with pytest.raises(ValueError, match="These differ: more"):
        main(copy, tmp_path / "ours")
    del tensors[first]
    save_file(tensors, copy / "unet" / WEIGHTS)
    with pytest.raises(ValueError, match=f"These differ: {first}"):
        main(copy, tmp_path / "ours")


CLIPPED = "use_clipped_model_output=False"
FIELDS = ("sampler", "steps", "spacing", "clip", "variance")
LEADING = ("leading", True, "fixed_small")
DDPM = {"_class_name": "DDPMScheduler"}


@pytest.mark.parametrize(
    ("fields", "pipeline", "sampling"),
    [
        ({}, None, ("ddim", 50, *LEADING, [CLIPPED])),
        ({}, "DDPMPipeline", ("ddim", 1000, *LEADING, [CLIPPED])),
        (DDPM, "DDIMPipeline", ("ddim", 50, *LEADING, [CLIPPED])),
        (
            {**DDPM, "variance_type": "fixed_large", "clip_sample": False},
            "DDPMPipeline",
            ("ddpm", 1000, "leading", False, "fixed_large", []),
        ),
        (
            {"timestep_spacing": "trailing", "clip_sample": False},
            None,
            ("ddim", 50, "trailing", False, "fixed_small", []),
        ),
        (
            {
                "steps_offset": 1, "thresholding": True, "sample_max_value": 2.0,
                "clip_sample": False, "set_alpha_to_one": False,
            },
            None,
            (
                "ddim", 50, *LEADING,
                ["thresholding=True", "set_alpha_to_one=False", "steps_offset=1", CLIPPED],
            ),
        ),
        (
            {"_class_name": "UniPCMultistepScheduler", "solver_order": 3, "solver_type": "bh1"},
            None,
            (
                "unipc", 50, "trailing", False, "fixed_small",
                ["solver_order=3", "solver_type='bh1'", "timestep_spacing='linspace'"],
            ),
        ),
    ],
)  # fmt: skip
def test_it_says_how_the_pipeline_samples(fields, pipeline, sampling):
    found, without = sampling_of({"_class_name": "DDIMScheduler", **fields}, 1000, pipeline)
    *expected, others = sampling
    assert found == dict(zip(FIELDS, expected, strict=True))
    assert without == others


@pytest.mark.parametrize("sampler", ["ddim", "unipc", "dpmpp_2m"])
def test_a_scheduler_makes_the_same_images(sampler):
    recorded = json.loads((EXAMPLES / "schedulers.json").read_text())[sampler]
    denoiser, config = load_denoiser(GOLDEN), recorded["config"]
    assert schedule_of(config) == (denoiser.card.schedule, denoiser.card.prediction_type)
    expected = {"sampler": sampler, "steps": 50, "spacing": "trailing", "clip": True}
    assert sampling_of(config, 1000)[0] == {**expected, "variance": "fixed_small"}
    ours = to_uint8(sample(denoiser, [3, 8], [0, 7], sampler=sampler, progress=False))
    assert np.abs(ours.astype(int) - recorded["images"]).max() <= 1
    assert ours.std() > 30


def test_schedules_by_name_are_those_of_their_formulas():
    def of(**fields):
        return schedule_of({"_class_name": "DDPMScheduler", **fields})[0]

    assert of(beta_schedule="squaredcos_cap_v2") == make_schedule("cosine", 1000)
    assert of() == make_schedule("linear", 1000)
    ends = {"beta_start": 0.01, "beta_end": 0.04, "num_train_timesteps": 3}
    scaled = of(beta_schedule="scaled_linear", **ends).betas
    np.testing.assert_allclose(scaled, [0.01, 0.0225, 0.04])
    sigmoid = 1 / (1 + np.exp([6, 0, -6])) * 0.03 + 0.01
    np.testing.assert_allclose(of(beta_schedule="sigmoid", **ends).betas, sigmoid)
    zero = make_schedule("linear", 1000, zero_terminal_snr=True)
    assert of(rescale_betas_zero_snr=True, prediction_type="v_prediction") == zero
    written_out = of(trained_betas=zero.betas.tolist(), prediction_type="v_prediction")
    np.testing.assert_allclose(written_out.alphas_cumprod, zero.alphas_cumprod, atol=1e-12)


def test_every_field_of_a_network_is_read():
    config = {
        "sample_size": [8, 16], "in_channels": 1, "out_channels": 1, "freq_shift": 1,
        "flip_sin_to_cos": False, "down_block_types": ["DownBlock2D"],
        "up_block_types": ["AttnUpBlock2D"], "block_out_channels": [6], "layers_per_block": 3,
        "downsample_padding": 0, "dropout": 0.5, "attention_head_dim": 2, "norm_num_groups": 3,
        "norm_eps": 0.25, "resnet_time_scale_shift": "scale_shift", "add_attention": False,
    }  # fmt: skip
    assert network.arguments_of(config) == {
        "image_shape": (8, 16, 1), "widths": (6,), "blocks_per_level": 3,
        "down_attention": (False,), "up_attention": (True,), "middle_attention": False,
        "head_channels": 2, "norm_groups": 3, "norm_epsilon": 0.25, "symmetric_padding": False,
        "cosine_first": False, "frequency_shift": 1, "dropout": 0.5, "scale_shift": True,
    }  # fmt: skip
