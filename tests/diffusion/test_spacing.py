"""Every spacing, every number of steps: as many distinct timesteps as asked, falling."""

import itertools

import numpy as np
import pytest

from kdiffusion.diffusion.schedules import SCHEDULES, make_schedule
from kdiffusion.diffusion.spacing import SPACINGS, timestep_pairs


def timesteps(*args, **kwargs):
    return [t for t, _ in timestep_pairs(*args, **kwargs)]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("schedule_name", SCHEDULES)
@pytest.mark.parametrize("zero_snr", [False, True])
def test_distinct_falling_and_linked(spacing, schedule_name, zero_snr):
    schedule = make_schedule(schedule_name, 100, zero_snr)
    for steps in [1, 2, 3, 10, 37, 50, 99, 100]:
        pairs = timestep_pairs(schedule, steps, spacing)
        visited = [t for t, _ in pairs]
        assert len(pairs) == steps
        assert all(a > b for a, b in itertools.pairwise(visited))
        assert 0 <= visited[-1] <= visited[0] <= 99
        assert [s for _, s in pairs] == [*visited[1:], -1]
        if spacing != "leading":
            assert visited[0] == 99
    assert timesteps(schedule, 100, spacing) == list(range(99, -1, -1))


def test_by_hand():
    schedule = make_schedule("linear", 1000)
    assert timesteps(schedule, 5, "trailing") == [999, 799, 599, 399, 199]
    assert timesteps(schedule, 5, "leading") == [800, 600, 400, 200, 0]
    assert timesteps(schedule, 4, "linspace") == [999, 666, 333, 0]
    assert timesteps(schedule, 4, "quadratic") == [999, 444, 111, 0]


def test_karras_levels_are_evenly_spaced_in_their_seventh_root():
    schedule = make_schedule("linear", 100_000)
    roots = schedule.noise_levels[timesteps(schedule, 12, "karras")] ** (1 / 7)
    steps = np.diff(roots[1:])
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-2)
    first = min(schedule.noise_levels[-1], 80.0) ** (1 / 7)
    assert first == pytest.approx(roots[1] - steps.mean(), rel=1e-2)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_start_below_the_top(spacing):
    schedule = make_schedule("cosine", 1000)
    visited = timesteps(schedule, 5, spacing, start=400)
    assert visited[0] == 400 or spacing == "leading"
    assert max(visited) <= 400
