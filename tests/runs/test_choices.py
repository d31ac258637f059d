import pytest

from kdiffusion.diffusion.weighting import TIMESTEP_SAMPLING_NAMES
from kdiffusion.runs import choices
from kdiffusion.training.timesteps import TIMESTEP_SAMPLING

TABLES = ("OPTIMIZERS", "LEARNING_RATE_SHAPES", "STRATEGIES", "STUDENTS")


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_there(name):
    table = getattr(choices, name)
    for row in table:
        assert callable(choices.find(row, table))


def test_the_ways_of_drawing_timesteps_have_one_list_of_names():
    assert tuple(TIMESTEP_SAMPLING) == TIMESTEP_SAMPLING_NAMES
