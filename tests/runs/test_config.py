import dataclasses
import json
from pkgutil import resolve_name

import pytest

from kdiffusion.diffusion.weighting import TIMESTEP_SAMPLING_NAMES
from kdiffusion.networks import NETWORKS
from kdiffusion.runs import config
from kdiffusion.runs.config import Config
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS
from kdiffusion.training.timesteps import TIMESTEP_SAMPLING

TABLES = (
    NETWORKS, config.OPTIMIZERS, config.LEARNING_RATE_SHAPES, config.STRATEGIES, config.STUDENTS
)  # fmt: skip


@pytest.mark.parametrize("row", [row for table in TABLES for row in table.values()])
def test_every_row_is_there(row):
    assert callable(resolve_name(row))


def test_the_ways_of_sampling_timesteps_have_one_list_of_names():
    assert tuple(TIMESTEP_SAMPLING) == TIMESTEP_SAMPLING_NAMES


DIGITS = PRESETS["digits"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json_is_named_after_its_row_and_documents_its_command(name):
    assert Config.from_json(PRESETS[name].to_json()) == PRESETS[name]
    assert PRESETS[name].preset == name
    assert f"`python -m kdiffusion train {name}`" in PRESET_DOCS[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.validation_fraction", 1.0),
        ("model.channel_multipliers", []),
        ("diffusion.schedule", "straight"),
        ("optimizer.epochs", 0),
        ("optimizer.learning_rate", float("nan")),
        ("run.seed", 2**31),
        ("run.no_such_field", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name_in_python_and_in_a_file(name, value):
    section, field = name.split(".")
    with pytest.raises((ValueError, TypeError), match=field):
        DIGITS.replace(**{name: value})
    content = json.loads(DIGITS.to_json())
    content[section][field] = value
    with pytest.raises(ValueError, match=field):
        Config.from_json(json.dumps(content))


def test_a_copy_with_other_settings_is_made_by_their_names_and_has_their_types():
    changed = DIGITS.replace(
        **{"optimizer.epochs": 3, "optimizer.batch_size": 64, "model.channel_multipliers": [1, 2]}
    )
    assert (changed.optimizer.epochs, changed.optimizer.batch_size) == (3, 64)
    assert changed.model.channel_multipliers == (1, 2)
    assert changed.diffusion == DIGITS.diffusion
    assert DIGITS.optimizer.epochs == 40
    with pytest.raises(dataclasses.FrozenInstanceError):
        DIGITS.optimizer.epochs = 3


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
