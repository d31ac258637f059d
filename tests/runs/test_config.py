import json
from pkgutil import resolve_name

import pytest

from kdiffusion.diffusion.weighting import TIMESTEP_SAMPLING_NAMES
from kdiffusion.runs import config
from kdiffusion.runs.config import Config
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS
from kdiffusion.training.timesteps import TIMESTEP_SAMPLING


@pytest.mark.parametrize("row", config.STRATEGIES.values())
def test_every_row_is_there(row):
    assert callable(resolve_name(row))


def test_the_ways_of_sampling_timesteps_have_one_list_of_names():
    assert tuple(TIMESTEP_SAMPLING) == TIMESTEP_SAMPLING_NAMES


DIGITS = PRESETS["digits"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json_is_named_after_its_row_and_says_what_it_trains(name):
    assert Config.from_json(PRESETS[name].to_json()) == PRESETS[name]
    assert PRESETS[name].preset == name
    assert PRESET_DOCS[name].endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.validation_fraction", 1.0),
        ("model.channel_multipliers", []),
        ("diffusion.schedule", "straight"),
        ("objective.label_dropout", 1.5),
        ("optimizer.epochs", 0),
        ("optimizer.learning_rate", float("nan")),
        ("sampling.guidance_strength", float("nan")),
        ("sampling.guidance_interval", (0.5, float("inf"))),
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


def test_arguments_are_read_from_text():
    found = config.arguments_of(["offset=0.02", " start = -1e1", "widths=[8,24]"])
    assert found == {"offset": 0.02, "start": -10.0, "widths": [8, 24]}


def test_guidance_everywhere_survives_json():
    config = DIGITS.replace(**{"sampling.guidance_interval": (0, float("inf"))})
    assert Config.from_json(config.to_json()) == config == DIGITS
