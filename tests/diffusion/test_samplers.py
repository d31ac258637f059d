"""Every sampler against what must come out of it when the right prediction is known."""

import numpy as np
import pytest

from kdiffusion.diffusion.noise import initial_latents
from kdiffusion.diffusion.prediction import PREDICTION_TYPES, Estimate
from kdiffusion.diffusion.samplers import SAMPLERS, ddim_step, ddpm_step, find_sampler
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.spacing import SPACINGS, timestep_pairs

DETERMINISTIC = [name for name, sampler in SAMPLERS.items() if not sampler.always_random]
SCHEDULES = {
    "linear": make_schedule("linear", 1000),
    "cosine": make_schedule("cosine", 1000),
    "zero_snr": make_schedule("cosine", 1000, zero_terminal_snr=True),
}


def iterates(step, predict, x, schedule, pairs, normal=None, **options):
    """Every x on the way, the first being x itself."""
    history, all_x = (), [x]
    for t, s in pairs:
        x, estimate = step(predict, x, t, s, schedule, history, normal, **options)
        history = (*history[-1:], estimate)
        all_x.append(x)
    return all_x


def knows(x0, schedule):
    """`predict` for a data set of the single picture x0."""

    def predict(x, t):
        alpha_bar = schedule.alpha_bar(t)
        return Estimate(t, x, x0, (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar))

    return predict


def gaussian_predict(schedule, mean, std):
    """`predict` for pixels that are N(mean, std^2)."""

    def predict(x, t):
        alpha_bar = schedule.alpha_bar(t)
        root, variance = np.sqrt(alpha_bar), alpha_bar * std**2 + 1 - alpha_bar
        x0 = mean + root * std**2 / variance * (x - root * mean)
        return Estimate(t, x, x0, (x - root * x0) / np.sqrt(1 - alpha_bar))

    return predict


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_every_iterate_lies_on_the_line_from_noise_to_the_known_picture(name, spacing, schedule):
    rng = np.random.default_rng(0)
    x0, eps = rng.uniform(-1, 1, (2, 6)), rng.normal(size=(2, 6))
    for steps in (1, 2, 5, 20):
        pairs = timestep_pairs(schedule, steps, spacing)
        start = schedule.q_sample(x0, pairs[0][0], eps)
        visited = iterates(SAMPLERS[name].step, knows(x0, schedule), start, schedule, pairs)
        for (_, s), x in zip(pairs, visited[1:], strict=True):
            np.testing.assert_allclose(x, schedule.q_sample(x0, s, eps), atol=1e-11)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_ddim_with_eta_1_is_ddpm_with_fixed_small(schedule):
    predict = gaussian_predict(schedule, 0.1, 0.5)
    pairs = timestep_pairs(schedule, 20)
    latents = initial_latents(range(3), (2, 2, 1))
    paths = [
        iterates(step, predict, latents, schedule, pairs, fixed_noise(latents.shape), **options)
        for step, options in ((ddim_step, {"eta": 1.0}), (ddpm_step, {"variance": "fixed_small"}))
    ]
    for ddim, ddpm in zip(*paths, strict=True):
        np.testing.assert_allclose(ddim, ddpm, atol=1e-12)


def fixed_noise(shape):
    rng = np.random.default_rng(1)
    return lambda: rng.normal(size=shape)


STOCHASTIC = {
    "ddpm fixed_small": ("ddpm", {"variance": "fixed_small"}),
    "ddpm fixed_large": ("ddpm", {"variance": "fixed_large"}),
    "ddim eta 0.5": ("ddim", {"eta": 0.5}),
}


@pytest.mark.parametrize("case", STOCHASTIC.values(), ids=STOCHASTIC)
def test_stochastic_samplers_reproduce_mean_and_variance(case):
    name, options = case
    schedule, mean, std, count = SCHEDULES["linear"], 0.3, 0.5, 20_000
    rng = np.random.default_rng(0)
    visited = iterates(
        SAMPLERS[name].step,
        gaussian_predict(schedule, mean, std),
        rng.normal(size=count),
        schedule,
        timestep_pairs(schedule, 1000),
        lambda: rng.normal(size=count),
        **options,
    )
    for t in (750, 500, 250, 0):  # on the way too: x_t is N(root mean, abar std^2 + 1 - abar)
        alpha_bar, x = schedule.alpha_bar(t), visited[999 - t]
        variance = alpha_bar * std**2 + 1 - alpha_bar
        assert x.mean() == pytest.approx(
            np.sqrt(alpha_bar) * mean, abs=4 * np.sqrt(variance / count)
        )
        assert x.var() == pytest.approx(variance, rel=0.05)


def test_ddpm_adds_no_noise_on_the_last_step():
    schedule = make_schedule("linear", 10)
    for variance in ("fixed_small", "fixed_large"):
        x, estimate = ddpm_step(
            gaussian_predict(schedule, 0, 1), np.ones(3), 4, -1, schedule, (), None, variance
        )
        np.testing.assert_allclose(x, estimate.x0, rtol=1e-14)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_all_targets_give_the_same_trajectory(name, prediction_type, make_card, gaussian):
    def path(target):
        card, xs = make_card(prediction_type=target), []
        sample(
            gaussian(card), card, [0, 1], [5, 6], sampler=name, steps=12, progress=False,
            callback=lambda index, t, x, x0: xs.append(x),
        )  # fmt: skip
        return xs

    for here, there in zip(path(prediction_type), path("x0"), strict=True):
        np.testing.assert_allclose(here, there, atol=2e-4)  # x is float32 at the network's border


def test_an_unknown_sampler_is_refused_with_the_list():
    with pytest.raises(ValueError, match=", ".join(SAMPLERS)):
        find_sampler("euler")
