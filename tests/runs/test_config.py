import dataclasses
import json
import re

import pytest

from kdiffusion.data.tfds_catalog import MIRRORABLE
from kdiffusion.runs.config import Config
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json_and_is_named_after_its_row(name):
    assert Config.from_json(PRESETS[name].to_json()) == PRESETS[name]
    assert PRESETS[name].preset == name


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_documents_its_command(name):
    assert f"`python -m kdiffusion train {name}`" in PRESET_DOCS[name]


def _changed(section, field, value):
    content = json.loads(PRESETS["digits"].to_json())
    content[section][field] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("data", "image_size", 0),
        ("data", "validation_fraction", 1.0),
        ("model", "base_channels", 7),
        ("model", "channel_multipliers", []),
        ("model", "channel_multipliers", [1, 0]),
        ("model", "dropout", 1.0),
        ("model", "dtype_policy", "float8"),
        ("model", "attention_heads", 5),
        ("diffusion", "schedule", "straight"),
        ("diffusion", "schedule_options", ["offset"]),
        ("diffusion", "schedule_options", ["offset=wide"]),
        ("diffusion", "schedule_options", "offset=0.1"),
        ("diffusion", "num_timesteps", 1),
        ("diffusion", "prediction_type", "noise"),
        ("diffusion", "label_dropout", -0.1),
        ("optimizer", "epochs", 0),
        ("optimizer", "batch_size", 1.5),
        ("optimizer", "learning_rate", float("nan")),
        ("optimizer", "learning_rate", float("inf")),
        ("optimizer", "gradient_clip_norm", 0),
        ("optimizer", "ema_decay", 1.0),
        ("sampling", "sampler", "no_such_sampler"),
        ("sampling", "steps", 1001),
        ("sampling", "guidance_strength", -2),
        ("sampling", "guidance_interval", [1.0]),
        ("sampling", "guidance_interval", [2.0, 1.0]),
        ("sampling", "guidance_interval", [1e8, 1e9]),
        ("run", "seed", 2**31),
        ("run", "strategy", "parameter_server"),
        ("run", "log_every_steps", "often"),
        ("run", "no_such_field", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(section, field, value):
    with pytest.raises(ValueError, match=field):
        Config.from_json(_changed(section, field, value))


def test_predicting_the_noise_of_pure_noise_is_refused():
    content = json.loads(PRESETS["digits"].to_json())
    content["diffusion"].update(zero_terminal_snr=True, prediction_type="epsilon")
    with pytest.raises(ValueError, match="zero_terminal_snr"):
        Config.from_json(json.dumps(content))


def test_unknown_names_come_with_the_known_ones():
    with pytest.raises(ValueError, match="'linear', 'cosine'"):
        Config.from_json(_changed("diffusion", "schedule", "straight"))
    with pytest.raises(ValueError, match="'ddpm', 'ddim'"):
        Config.from_json(_changed("sampling", "sampler", "no_such_sampler"))


def test_the_paper_preset_is_its_table_to_the_letter():
    paper = PRESETS["cifar10_paper"]
    assert paper.data.name == "cifar10"
    assert (paper.diffusion.schedule, paper.diffusion.num_timesteps) == ("linear", 1000)
    assert (paper.diffusion.prediction_type, paper.diffusion.loss_weighting) == (
        "epsilon",
        "simple",
    )
    assert paper.diffusion.label_dropout == 0.1
    assert (paper.optimizer.learning_rate, paper.optimizer.epochs) == (1e-3, 600)
    assert (paper.optimizer.beta_1, paper.optimizer.beta_2) == (0.9, 0.999)
    assert paper.optimizer.final_learning_rate_fraction == 1.0
    sampling = paper.sampling
    assert (sampling.sampler, sampling.steps, sampling.guidance_strength) == ("ddpm", 1000, 3.0)
    levels = [32 >> level for level in range(len(paper.model.channel_multipliers))]
    # Attention between the blocks: at every resolution that lies between two of them.
    assert set(paper.model.attention_resolutions) == set(levels[1:])


def test_only_the_paper_preset_decides_for_its_data_whether_a_mirror_image_makes_sense():
    """The catalogue says so of each data set; a folder of images is not mirrored unasked."""
    decided = {name: preset.data.horizontal_flip for name, preset in PRESETS.items()}
    assert {name: flip for name, flip in decided.items() if flip is not None} == {
        "cifar10_paper": False
    }
    assert {"cifar10", "stl10"} <= MIRRORABLE


def test_a_config_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["digits"].optimizer.epochs = 3


@pytest.mark.parametrize(
    ("section", "field", "value", "said"),
    [
        ("optimizer", "epochs", 0, "`optimizer.epochs` must be at least 1. Received: 0"),
        ("optimizer", "epochs", 1.5, "`optimizer.epochs` must be a whole number. Received: 1.5"),
        ("optimizer", "epochs", "x", "`optimizer.epochs` must be a whole number. Received: 'x'"),
        (
            "optimizer",
            "learning_rate",
            0,
            "`optimizer.learning_rate` must be above 0.0. Received: 0",
        ),
        ("model", "dropout", 1.0, "`model.dropout` must be below 1.0. Received: 1.0"),
        ("model", "dropout", "x", "`model.dropout` must be a number. Received: 'x'"),
        ("model", "channel_multipliers", [1, 0], "`model.channel_multipliers` must be at least 1."),
        (
            "model",
            "channel_multipliers",
            [],
            "`model.channel_multipliers` must have at least 1 value",
        ),
        ("model", "base_channels", 7, "`model.base_channels` must be a multiple of 2. Received: 7"),
        ("model", "scale_shift", "x", "`model.scale_shift` must be true or false. Received: 'x'"),
        ("data", "name", 3, "`data.name` must be text. Received: 3"),
        ("run", "no_such_field", 1, "`run.no_such_field` is no setting of this version"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_our_own(section, field, value, said):
    with pytest.raises(ValueError, match="^" + re.escape(said)) as refused:
        Config.from_json(_changed(section, field, value))
    assert "pydantic" not in str(refused.value)
    assert "input_type" not in str(refused.value)


def test_all_that_is_wrong_is_said_together():
    content = json.loads(PRESETS["digits"].to_json())
    content["optimizer"]["epochs"], content["run"]["seed"], content["who"] = 0, -1, 3
    with pytest.raises(ValueError, match=r"`who`.*") as refused:
        Config.from_json(json.dumps(content))
    assert all(name in str(refused.value) for name in ("`optimizer.epochs`", "`run.seed`"))


def test_what_is_no_configuration_is_refused():
    for text in ("[]", "3", "{", "[" * 100_000):
        with pytest.raises(ValueError):  # noqa: PT011
            Config.from_json(text)


def test_a_configuration_made_in_python_is_checked_too_and_its_values_have_their_types():
    digits = PRESETS["digits"]
    with pytest.raises(ValueError, match=r"`optimizer\.epochs` must be at least 1"):
        dataclasses.replace(digits, optimizer=dataclasses.replace(digits.optimizer, epochs=0))
    model = dataclasses.replace(digits.model, channel_multipliers=[1, 2])
    assert dataclasses.replace(digits, model=model).model.channel_multipliers == (1, 2)


def test_a_schedule_takes_its_own_parameters():
    options = ["offset=0.02"]
    config = Config.from_json(_changed("diffusion", "schedule_options", options))
    assert config.diffusion.schedule_options == ("offset=0.02",)
    assert Config.from_json(config.to_json()) == config
    with pytest.raises(ValueError, match="must be a parameter of the cosine schedule: offset"):
        Config.from_json(_changed("diffusion", "schedule_options", ["start=1"]))


def test_a_configuration_without_schedule_options_is_one_from_before_there_were_any():
    content = json.loads(PRESETS["digits"].to_json())
    del content["diffusion"]["schedule_options"]
    assert Config.from_json(json.dumps(content)) == PRESETS["digits"]
