import dataclasses
import warnings

import pytest

from kdiffusion.runs.advice import advise
from kdiffusion.runs.presets import PRESETS

IMAGE_SHAPES = {"digits": (8, 8, 1), "cifar10": (32, 32, 3), "stl10": (64, 64, 3)}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_needs_no_advice(preset):
    config = PRESETS[preset]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advise(config, IMAGE_SHAPES[config.data.name], total_steps=100_000)


def test_attention_that_no_map_is_high_enough_for_is_told():
    config = PRESETS["cifar10_small"]
    model = dataclasses.replace(
        config.model, channel_multipliers=(1, 2), attention_resolutions=(16, 7)
    )
    config = dataclasses.replace(config, model=model)
    with pytest.warns(UserWarning, match=r"which are 14, 7 here: no attention comes of 16\.$"):
        advise(config, (28, 28, 3), total_steps=100_000)
