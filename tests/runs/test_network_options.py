import warnings

import pytest

from kdiffusion.runs.config import ModelConfig
from kdiffusion.runs.network_options import warn_of_attention
from kdiffusion.runs.presets import PRESETS

IMAGE_SHAPES = {"digits": (8, 8, 1), "cifar10": (32, 32, 3), "stl10": (64, 64, 3)}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_the_attention_that_it_names(preset):
    config = PRESETS[preset]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_attention(config.model, IMAGE_SHAPES[config.data.name])


def test_attention_that_no_map_is_high_enough_for_is_told():
    model = ModelConfig(channel_multipliers=(1, 2), attention_resolutions=(16, 7), patch_size=2)
    with pytest.warns(UserWarning, match=r"which are 14, 7 here: no attention comes of 16\.$"):
        warn_of_attention(model, (28, 30, 1))
