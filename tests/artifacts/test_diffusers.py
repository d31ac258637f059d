"""Models that diffusers saved, against what diffusers computed; and what is refused, by name.

The folders and the numbers in tests/artifacts/diffusers are diffusers' own, written by
`python -m benchmarks.diffusers_exactness --write-fixtures tests/artifacts/diffusers`.
"""

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kdiffusion.artifacts import ArtifactError, diffusers_folder, diffusers_network, load_denoiser
from kdiffusion.artifacts.diffusers_scheduler import config_of, drawing_of, schedule_of
from kdiffusion.artifacts.safetensors_loader import file_at
from kdiffusion.diffusion.sampling import sampling_steps
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.export import FORMATS, export_diffusers, export_run, import_diffusers
from kdiffusion.export.diffusers_import import network_and_card
from kdiffusion.export.read_source import read_source

FOLDER = Path(__file__).parent / "diffusers"
# Name ► (row of no label, shape, classes).
CASES = {
    "cifar10": (None, (8, 8, 3), 1),
    "unconditional": (None, (8, 8, 3), 1),
    "classes": (3, (8, 8, 1), 3),
    "half": (None, (8, 16, 3), 1),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Name ► Imported, made when it is asked for."""
    made = {}

    def of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = import_diffusers(FOLDER / name, folder, null_row=CASES[name][0])
        return made[name]

    return of


@pytest.fixture(scope="module")
def recorded():
    return {name: np.load(FOLDER / f"{name}.npz") for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_the_network_predicts_what_diffusers_predicted(imported, recorded, name):
    denoiser, numbers = load_denoiser(imported(name).path), recorded[name]
    _, shape, classes = CASES[name]
    assert denoiser.card.image_shape == shape
    assert denoiser.card.null_label == classes
    predicted = denoiser(numbers["noisy_images"], numbers["timesteps"], numbers["labels"])
    np.testing.assert_allclose(predicted, numbers["prediction"], rtol=0, atol=1e-5)
    assert predicted.std() > 0.1


@pytest.mark.parametrize("name", CASES)
def test_fifty_steps_of_ddim_stay_within_a_level_of_those_of_diffusers(imported, recorded, name):
    numbers, denoiser = recorded[name], load_denoiser(imported(name).path)
    np.testing.assert_allclose(
        denoiser.card.alphas_cumprod, numbers["alphas_cumprod"], rtol=1e-4, atol=1e-9
    )
    steps = sampling_steps(
        denoiser, numbers["labels"][-2:], [0, 1], sampler="ddim", steps=50, spacing="leading",
        guidance_strength=0,
    )  # fmt: skip
    ours = np.stack([step.x for step in steps])[[0, 24, 49]]
    assert np.abs(127.5 * (ours - numbers["trajectory"])).max() < 1


def test_the_card_says_what_the_pipeline_draws_with_and_whence_it_came(imported):
    made = imported("cifar10")
    card = made.card
    assert (card.sampler, card.steps, card.prediction_type) == ("ddpm", 1000, "epsilon")
    assert card.schedule == make_schedule("linear", 1000)  # to the bit, so that a run says nothing
    assert made.model.drawing.options == ["--spacing leading", "--variance fixed_large"]
    assert made.model.drawing.without == []
    assert card.parent.name == "cifar10"
    assert card.parent.sha256 == made.model.sha256
    assert card.class_names == ("image",)
    assert card.guidance_strength == 0
    assert load_denoiser(made.path).card == card


def test_a_label_says_nothing_where_there_were_none(imported, recorded):
    denoiser, numbers = load_denoiser(imported("cifar10").path), recorded["cifar10"]
    arrays = numbers["noisy_images"], numbers["timesteps"]
    np.testing.assert_array_equal(denoiser(*arrays, [0, 0]), denoiser(*arrays, [1, 1]))


@pytest.mark.slow
def test_rows_of_the_label_table_are_classes_and_no_class(tmp_path):
    weights = FOLDER / "classes" / "unet" / diffusers_folder.WEIGHTS
    table = load_file(weights)["class_embedding.weight"]

    def rows(**options):
        path = import_diffusers(FOLDER / "classes", tmp_path, overwrite=True, **options).path
        card = load_denoiser(path).card
        return load_file(path)["condition/embed_label/embeddings"], card.class_names

    found, names = rows(null_row=-1)
    np.testing.assert_array_equal(found, table)
    assert names == ("0", "1", "2")
    found, names = rows(null_row=1, class_names=("a", "b", "c"))
    np.testing.assert_array_equal(found, table[[0, 2, 3, 1]])
    assert names == ("a", "b", "c")
    found, names = rows()
    np.testing.assert_array_equal(found[:4], table)
    np.testing.assert_allclose(found[4], table.mean(axis=0), atol=1e-7)
    with pytest.raises(ValueError, match="`class_names` must be 4"):
        rows(class_names=("a",))
    with pytest.raises(ValueError, match=r"`null_row` must be .*-4.*3"):
        rows(null_row=4)
    with pytest.raises(ValueError, match=r"no classes\. A run that starts"):
        import_diffusers(FOLDER / "cifar10", tmp_path / "other", class_names=("a",))


@pytest.mark.slow
def test_another_image_size_is_taken_where_it_is_asked_for(tmp_path):
    path = import_diffusers(FOLDER / "cifar10", tmp_path, image_size=16).path
    denoiser = load_denoiser(path)
    assert denoiser(np.zeros((1, 16, 16, 3)), [5], [0]).shape == (1, 16, 16, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_is_written_for_diffusers_is_what_it_wrote(imported, tmp_path, name):
    """Tensor for tensor and field for field; diffusers itself opens it in the benchmark."""
    source = imported(name).path.parent
    path = export_diffusers(*read_source(source), tmp_path)
    original, written = diffusers_folder.read(FOLDER / name), diffusers_folder.read(path)
    assert written.tensors.keys() == original.tensors.keys()
    for tensor, value in original.tensors.items():
        np.testing.assert_array_equal(written.tensors[tensor], value)
    assert written.arguments == original.arguments
    assert written.drawing.sampler == original.drawing.sampler
    np.testing.assert_allclose(
        written.schedule.alphas_cumprod, original.schedule.alphas_cumprod, rtol=1e-9
    )
    again = import_diffusers(path, tmp_path / "again")
    card, first = again.card, imported(name).card
    assert {**vars(card), "parent": None} == {**vars(first), "parent": None}
    _, named, _ = network_and_card(path, dataset="cifar10")
    assert named == dataclasses.replace(card, dataset="cifar10")
    assert load_file(again.path).keys() == load_file(imported(name).path).keys()
    with pytest.raises(FileExistsError):
        export_diffusers(*read_source(source), tmp_path)
    export_diffusers(*read_source(source), tmp_path, overwrite=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "classes"])
def test_every_format_is_written_of_an_import_and_predicts_what_diffusers_did(
    imported, recorded, tmp_path, name
):
    paths = export_run(imported(name).path.parent, tuple(FORMATS), tmp_path / "export")
    numbers = recorded[name]
    for format_name, path in paths.items():
        denoiser = load_denoiser(path)
        predicted = denoiser(numbers["noisy_images"], numbers["timesteps"], numbers["labels"])
        tolerance = max(FORMATS[format_name].TOLERANCE, 1e-5)
        np.testing.assert_allclose(predicted, numbers["prediction"], rtol=0, atol=tolerance)
        assert denoiser.card == imported(name).card


def test_a_network_that_concatenates_labels_is_not_written(card, tmp_path):
    from kdiffusion.networks import UNet

    with pytest.raises(ValueError, match=r"`network` must be a UNet2D.*Received: UNet"):
        export_diffusers(UNet(card.image_shape, 3, 8, (1,), 1, ()), card, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_import_is_found_by_its_folder_and_by_its_file(imported, tmp_path):
    path = imported("half").path
    assert file_at(path.parent) == file_at(path) == path
    assert file_at(tmp_path) is None
    shutil.copy(path, tmp_path)
    (tmp_path / "config.json").write_text("{}")  # a run's folder
    assert file_at(tmp_path) is None


@pytest.fixture
def copy(tmp_path):
    """A folder of diffusers' that a test may spoil, and what changes a JSON file of it."""
    folder = tmp_path / "theirs"
    shutil.copytree(FOLDER / "unconditional", folder)

    class Copy:
        path = folder
        config, scheduler = "unet/config.json", "scheduler/scheduler_config.json"
        weights = folder / "unet" / diffusers_folder.WEIGHTS

        def change(self, file, **fields):
            content = json.loads((folder / file).read_text()) | fields
            (folder / file).write_text(json.dumps(content))

        def refused(self, match):
            with pytest.raises(ArtifactError, match=match) as error:
                import_diffusers(folder, tmp_path / "out")
            assert "\n" not in str(error.value)
            assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]

    return Copy()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_class_name", "UNet2DConditionModel"), ("down_block_types", ["DownBlock2D"] * 2),
        ("down_block_types", ["DownBlock2D", "DownBlock2D", "ResnetDownsampleBlock2D"]),
        ("up_block_types", ["SkipUpBlock2D"] * 3), ("mid_block_type", None),
        ("time_embedding_type", "fourier"), ("class_embed_type", "timestep"), ("act_fn", "gelu"),
        ("center_input_sample", True), ("mid_block_scale_factor", 1.5), ("out_channels", 6),
        ("downsample_padding", 2), ("downsample_type", "resnet"), ("upsample_type", "resnet"),
        ("resnet_time_scale_shift", "spatial"), ("norm_num_groups", None), ("norm_eps", "small"),
        ("block_out_channels", []), ("sample_size", None), ("sample_size", [8]), ("dropout", -1),
        ("layers_per_block", 0), ("attention_head_dim", 1.5), ("a_new_field", 3),
        ("block_out_channels", [4, 4, 10**6]), ("norm_num_groups", 3), ("in_channels", 2),
        ("layers_per_block", 10**9), ("attention_head_dim", 3), ("sample_size", 7),
    ],
    ids=str,
)  # fmt: skip
def test_a_network_that_is_not_supported_is_refused_by_its_field(copy, field, value):
    changes = {field: value}
    if field in ("in_channels", "out_channels"):
        changes = {"in_channels": value if field == "in_channels" else 3, "out_channels": value}
    copy.change(copy.config, **changes)
    said = {
        "_class_name": "must be UNet2DModel.*UNet2DConditionModel",
        "a_new_field": "`a_new_field` is no field",
        "norm_num_groups": "groups", "layers_per_block": "layers_per_block|blocks",
        "attention_head_dim": "attention_head_dim|head_channels",
        "block_out_channels": "block_out_channels|needs", "sample_size": "size|`image_shape`",
    }  # fmt: skip
    copy.refused(said.get(field, f"`{field}` must be"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"_class_name": "PNDMScheduler"}, "`_class_name` must be one of DDPMScheduler, DDIM"),
        ({"prediction_type": "flow"}, "`prediction_type` must be one of epsilon, sample, v_pre"),
        ({"beta_schedule": "laplace"}, "`beta_schedule` must be one of linear"),
        ({"variance_type": "learned_range"}, "`variance_type` must be a fixed one"),
        ({"num_train_timesteps": 0}, "`num_train_timesteps` must be a whole number from 2"),
        ({"num_train_timesteps": 10**9}, "`num_train_timesteps` must be a whole number from 2"),
        ({"trained_betas": [0.1, 0.2]}, "`trained_betas` must have `num_train_timesteps`"),
        ({"trained_betas": "all"}, "`trained_betas` must be a list of numbers"),
        ({"num_train_timesteps": 2, "trained_betas": [0.1, np.nan]}, "Received: nan in place 1"),
        ({"timestep_spacing": "weird"}, "`timestep_spacing` must be one of .*trailing"),
        ({"foo": 1}, "`foo` is no field of a scheduler that is known here. Received: foo=1"),
        ({"beta_start": -1}, "`beta_start` must be a number above 0"),
        ({"rescale_betas_zero_snr": True}, "epsilon"),
        (
            {"num_train_timesteps": 3, "trained_betas": [0.1, -0.2, 0.1]},
            "Received: -0.2 in place 1",
        ),
    ],
)
def test_a_scheduler_that_is_not_supported_is_refused_by_its_field(copy, fields, said):
    copy.change(copy.scheduler, **fields)
    copy.refused(said)


def test_a_pipeline_of_another_kind_is_refused(copy):
    copy.change("model_index.json", _class_name="StableDiffusionPipeline")
    copy.refused(r"model_index\.json: `_class_name` must be one of DDPMPipeline, DDIMPipeline")
    copy.change("model_index.json", _class_name=["my_pipeline", "MyPipeline"])
    copy.refused(r"`_class_name` must be one of DDPMPipeline.*\['my_pipeline', 'MyPipeline'\]")


@pytest.mark.parametrize("file", ["unet/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("text", [None, "", "[]", "{", 10**5 * "["])
def test_a_file_that_is_missing_or_no_json_is_refused_by_name(copy, file, text):
    if text is None:
        (copy.path / file).unlink()
    else:
        (copy.path / file).write_text(text)
    copy.refused(Path(file).name)


def test_a_pickle_is_refused_and_never_opened(copy, tmp_path):
    opened = tmp_path / "theirs" / "opened"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (opened,))

    bomb = pickle.dumps(Bomb())
    copy.weights.unlink()
    (copy.weights.parent / "diffusion_pytorch_model.bin").write_bytes(bomb)
    copy.refused(r"diffusion_pytorch_model\.bin is a pickle, .* it was not\. Save the model by")
    copy.weights.write_bytes(bomb)  # under the name of the other format
    copy.refused("cannot be read as a whole safetensors file")
    assert not opened.exists()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(copy, kept):
    whole = copy.weights.read_bytes()
    copy.weights.write_bytes(whole[: int(kept * len(whole))])
    copy.refused("cannot be read as a whole safetensors file")


def test_tensors_that_are_missing_too_many_or_of_other_shapes_are_named(copy):
    tensors = load_file(copy.weights)
    first = "down_blocks.0.resnets.0.conv1.weight"

    def rewritten(**changes):
        changed = {**tensors, **changes}
        save_file({name: value for name, value in changed.items() if value is not None},
                  copy.weights)  # fmt: skip

    rewritten(**{first: None})
    copy.refused(f"{first} is missing")
    rewritten(**{first: np.zeros((4, 4, 3, 2), np.float32)})
    copy.refused(rf"{first} is \(4, 4, 3, 2\), and must be \(4, 4, 3, 3\)")
    rewritten(**{first: np.zeros(3, np.float32)})
    copy.refused(rf"{first} is \(3,\), and must be")
    rewritten(more=np.zeros(3, np.float32))
    copy.refused("more is one too many")
    rewritten(**{"class_embedding.weight": np.zeros((3, 16), np.float32)})
    copy.refused("class_embedding.weight is one too many")
    rewritten(**{first: np.zeros((4, 4, 3, 3), np.int8)})
    copy.refused(f"float32 or float16. Received: {first} in int8")


def test_labels_without_their_table_are_refused(copy):
    copy.change(copy.config, num_class_embeds=3)
    copy.refused(r"class_embedding\.weight")


def test_weights_in_several_files_are_read_by_their_index(copy, tmp_path):
    tensors, inner = load_file(copy.weights), copy.weights.parent
    expected = diffusers_folder.read(copy.path).tensors
    names = sorted(tensors)
    halves = {"a.safetensors": names[:40], "b.safetensors": names[40:]}
    for file, part in halves.items():
        save_file({name: tensors[name] for name in part}, inner / file)
    copy.weights.unlink()
    copy.refused("must hold diffusion_pytorch_model.safetensors$")
    index = inner / f"{diffusers_folder.WEIGHTS}.index.json"
    places = {name: file for file, part in halves.items() for name in part}
    index.write_text(json.dumps({"weight_map": places}))
    found = diffusers_folder.read(copy.path).tensors
    assert found.keys() == expected.keys()
    (inner / "b.safetensors").unlink()
    copy.refused("must hold b.safetensors, which")
    index.write_text(json.dumps({"weight_map": {"x": "../../etc/passwd"}}))
    copy.refused("must have a `weight_map`")


def test_nothing_there_and_no_folder_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="`source` must be a folder in diffusers' layout"):
        import_diffusers(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "file").write_text("text")
    with pytest.raises(ArtifactError, match="`source` must be a folder"):
        import_diffusers(tmp_path / "file", tmp_path / "out")
    with pytest.raises(ArtifactError, match=r"from the Hub.*huggingface_hub|could not be downl"):
        import_diffusers("nobody/nothing-of-this-name", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_card_of_another_scheduler_is_refused(imported, tmp_path):
    path = export_diffusers(*read_source(imported("half").path), tmp_path)
    file = path / "scheduler" / "scheduler_config.json"
    content = json.loads(file.read_text()) | {"beta_end": 0.2}
    file.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="must have the noise schedule of the scheduler"):
        import_diffusers(path, tmp_path / "out")


LEADING, CLIPPED = "--spacing leading", "use_clipped_model_output=False"
DDPM = {"_class_name": "DDPMScheduler"}


@pytest.mark.parametrize(
    ("fields", "pipeline", "drawing"),
    [
        ({}, None, ("ddim", 50, [LEADING], [CLIPPED])),
        ({}, "DDIMPipeline", ("ddim", 50, [LEADING], [CLIPPED])),
        ({}, "DDPMPipeline", ("ddim", 1000, [LEADING], [CLIPPED])),
        (DDPM, None, ("ddpm", 1000, [LEADING], [])),
        (DDPM, "DDIMPipeline", ("ddim", 50, [LEADING], [CLIPPED])),
        (
            {**DDPM, "variance_type": "fixed_large", "clip_sample": False},
            "DDPMPipeline",
            ("ddpm", 1000, [LEADING, "--no-clip", "--variance fixed_large"], []),
        ),
        (
            {"timestep_spacing": "trailing", "clip_sample": False},
            None,
            ("ddim", 50, ["--no-clip"], []),
        ),
        # A threshold between 1 and 1 clips.
        ({"thresholding": True, "clip_sample": False}, None, ("ddim", 50, [LEADING], [CLIPPED])),
        (
            {
                "steps_offset": 1, "thresholding": True, "sample_max_value": 2.0,
                "clip_sample": False, "set_alpha_to_one": False,
            },
            None,
            (
                "ddim", 50, [LEADING],
                ["thresholding=True", "set_alpha_to_one=False", "steps_offset=1", CLIPPED],
            ),
        ),
    ],
)  # fmt: skip
def test_how_the_pipeline_draws_is_told(fields, pipeline, drawing):
    assert drawing_of({"_class_name": "DDIMScheduler", **fields}, 1000, pipeline) == drawing


@pytest.mark.parametrize(
    ("spacing", "timesteps", "told"),
    [("leading", 1010, False), ("trailing", 1000, False), ("trailing", 1010, True),
     ("linspace", 1000, True), ("linspace", 50, False)],
)  # fmt: skip
def test_steps_of_ddim_that_miss_the_next_timestep_are_told(spacing, timesteps, told):
    config = {"_class_name": "DDIMScheduler", "timestep_spacing": spacing, "clip_sample": False}
    without = drawing_of(config, timesteps).without
    assert (
        without == [f"timestep_spacing='{spacing}' (there each step goes 20 timesteps down)"] * told
    )


@pytest.mark.parametrize("steps", [2, 3, 1000])
def test_a_schedule_that_ends_in_pure_noise_goes_there_and_back(imported, steps):
    schedule = make_schedule("linear", steps, zero_terminal_snr=True)
    card = dataclasses.replace(
        load_denoiser(imported("classes").path).card, prediction_type="v",
        alphas_cumprod=tuple(schedule.alphas_cumprod.tolist()), steps=2,
    )  # fmt: skip
    back = schedule_of(config_of(card)[0])[0]
    np.testing.assert_allclose(back.alphas_cumprod, schedule.alphas_cumprod, atol=1e-12)


def test_schedules_by_name_are_those_of_their_formulas():
    def of(**fields):
        return schedule_of({"_class_name": "DDPMScheduler", **fields})[0]

    assert of(beta_schedule="squaredcos_cap_v2") == make_schedule("cosine", 1000)
    assert of() == make_schedule("linear", 1000)
    ends = {"beta_start": 0.01, "beta_end": 0.04, "num_train_timesteps": 3}
    np.testing.assert_allclose(of(beta_schedule="scaled_linear", **ends).betas,
                               [0.01, 0.0225, 0.04])  # fmt: skip
    sigmoid = 1 / (1 + np.exp([6, 0, -6])) * 0.03 + 0.01
    np.testing.assert_allclose(of(beta_schedule="sigmoid", **ends).betas, sigmoid)
    zero = of(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    assert zero == make_schedule("linear", 1000, zero_terminal_snr=True)


def test_every_field_of_a_network_goes_there_and_back():
    arguments = diffusers_network.arguments_of({
        "sample_size": [8, 16], "in_channels": 1, "out_channels": 1, "time_embedding_dim": 12,
        "freq_shift": 1, "flip_sin_to_cos": False, "down_block_types": ["DownBlock2D"],
        "up_block_types": ["AttnUpBlock2D"], "block_out_channels": [6], "layers_per_block": 3,
        "downsample_padding": 0, "dropout": 0.5, "attention_head_dim": 2, "norm_num_groups": 3,
        "attn_norm_num_groups": 2, "norm_eps": 0.25, "resnet_time_scale_shift": "scale_shift",
        "add_attention": False,
    })  # fmt: skip
    assert arguments == {
        "image_shape": (8, 16, 1), "widths": (6,), "blocks_per_level": 3,
        "down_attention": (False,), "up_attention": (True,), "middle_attention": False,
        "head_channels": 2, "norm_groups": 3, "norm_epsilon": 0.25, "middle_norm_groups": 2,
        "symmetric_padding": False, "cosine_first": False, "frequency_shift": 1,
        "embedding_channels": 12, "dropout": 0.5, "scale_shift": True,
    }  # fmt: skip
    config = diffusers_network.config_of(arguments, None)
    assert diffusers_network.arguments_of(config) == arguments
    for groups, scale_shift in [(None, False), (None, True), (0, True), (2, False)]:
        changed = {**arguments, "middle_norm_groups": groups, "scale_shift": scale_shift}
        config = diffusers_network.config_of(changed, None)
        back = diffusers_network.arguments_of(config)["middle_norm_groups"]
        assert (back or (0 if back == 0 else 3)) == (groups or (0 if groups == 0 else 3))
    with pytest.raises(ValueError, match="`middle_norm_groups` must be 1 or more"):
        diffusers_network.config_of(
            {**arguments, "middle_norm_groups": 0, "scale_shift": False}, None
        )
