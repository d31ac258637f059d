"""Every sampler against what must come out of it when the right prediction is known."""

import itertools

import numpy as np
import pytest

from kdiffusion.diffusion.forward_process import VARIANCES
from kdiffusion.diffusion.prediction import Estimate
from kdiffusion.diffusion.samplers import SAMPLERS, ddim_step, ddpm_step
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.diffusion.spacing import SPACINGS, timestep_pairs
from kdiffusion.diffusion.transition import Transition
from tests.diffusion.conftest import exact_path, gaussian_predict, knows

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
        x, estimate = step(Transition(predict(x, t), s, schedule, history, normal), **options)
        history = (*history[-2:], estimate)
        all_x.append(x)
    return all_x


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_every_iterate_lies_on_the_line_from_noise_to_the_known_image(name, spacing, schedule):
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
    np.testing.assert_allclose(*paths, atol=1e-12)


def fixed_noise(shape):
    rng = np.random.default_rng(1)
    return lambda: rng.normal(size=shape)


# The values with which a sampler that has an option is tried, beside its default.
OPTION_VALUES = {"variance": VARIANCES, "eta": (0.5,)}
# A sampler that draws noise, and a sampler with an option that makes it do so, by the table alone.
STOCHASTIC = [
    (name, options)
    for name, sampler in SAMPLERS.items()
    for options in [{key: value} for key in sampler.options for value in OPTION_VALUES[key]] or [{}]
    if sampler.always_random or "eta" in options
]


@pytest.mark.parametrize(("name", "options"), STOCHASTIC, ids=str)
def test_stochastic_samplers_reproduce_mean_and_variance(name, options):
    schedule, mean, std, count = SCHEDULES["linear"], 0.3, 0.5, 20_000
    step, predict = SAMPLERS[name].step, gaussian_predict(schedule, mean, std)
    pairs, normal = timestep_pairs(schedule, 1000), fixed_noise(count)
    visited = iterates(step, predict, normal(), schedule, pairs, normal, **options)
    for t in (750, 500, 250, 0):  # on the way too: x_t is N(root mean, abar std^2 + 1 - abar)
        alpha_bar, x = schedule.alpha_bar(t), visited[999 - t]
        variance = alpha_bar * std**2 + 1 - alpha_bar
        assert abs(x.mean() - np.sqrt(alpha_bar) * mean) < 4 * np.sqrt(variance / count)
        assert x.var() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("schedule_name", ["linear", "cosine"])
def test_order_of_convergence(name, schedule_name):
    schedule, mean, std = make_schedule(schedule_name, 1_000_000), 0.3, 0.5
    log_levels, x = np.log(schedule.noise_levels), np.array([-1.3, 0.2, 2.0])
    counts, errors = [64, 128, 256, 512], []
    for count in counts:
        levels = np.linspace(log_levels[900_000], log_levels[100_000], count + 1)
        visited = np.rint(np.interp(levels, log_levels, np.arange(len(log_levels)))).astype(int)
        pairs = list(itertools.pairwise(visited.tolist()))
        predict = gaussian_predict(schedule, mean, std)
        last = iterates(SAMPLERS[name].step, predict, x, schedule, pairs)[-1]
        errors.append(np.abs(last - exact_path(schedule, mean, std, x, *visited[[0, -1]])).max())
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert SAMPLERS[name].order, "a deterministic sampler's row says its order of convergence"
    assert slope == pytest.approx(SAMPLERS[name].order, abs=0.12), errors
    assert errors[-1] < 2e-3


def test_a_fitted_step_is_ddim_and_its_four_terms():
    schedule, rng = SCHEDULES["cosine"], np.random.default_rng(0)
    x, *images = rng.normal(size=(5, 3))
    looks = [Estimate(t, x, x0, x0) for t, x0 in zip((900, 800, 700, 600), images, strict=True)]
    row, step = (0.1, -0.2, 0.3, -0.4), SAMPLERS["fitted"].step

    def stepped(history, corrections):
        return step(Transition(looks[3], 500, schedule, history), corrections=corrections)[0]

    now = knows(images[3], schedule)(x, 600)
    ddim = SAMPLERS["ddim"].step(Transition(now, 500, schedule))[0]
    terms = (x, images[3], images[2], images[1])
    expected = ddim + sum(c * term for c, term in zip(row, terms, strict=True))
    np.testing.assert_allclose(stepped(tuple(looks[:3]), {600: row}), expected, atol=1e-12)
    # Without the history that the row is for, as where image_to_image begins, it is DDIM.
    for history, corrections in (((looks[2],), {600: row}), ((), {600: row}), ((), {700: row})):
        np.testing.assert_allclose(stepped(history, corrections), ddim, atol=1e-12)


def euler_ancestral(denoise, x, sigmas, eta, normal):
    """As in k-diffusion, in x / sqrt(abar) and its noise level; Euler's method where eta is 0."""
    for sigma, following in itertools.pairwise(sigmas):
        slope = (x - denoise(x, sigma)) / sigma
        up = eta * np.sqrt(following**2 * (sigma**2 - following**2) / sigma**2)
        x = x + slope * (np.sqrt(following**2 - up**2) - sigma)
        x = x + up * normal() if up > 0 else x
    return x


def dpmpp_2m_sde_midpoint(denoise, x, sigmas, eta, normal):
    """As in k-diffusion, DPM++ 2M SDE with the solver type midpoint; DPM++ 2M where eta is 0."""
    before, h_before = None, None
    for sigma, following in itertools.pairwise(sigmas):
        image = denoise(x, sigma)
        if following == 0:
            return image
        h = np.log(sigma / following)
        towards = -np.expm1(-(1 + eta) * h)
        x = following / sigma * np.exp(-eta * h) * x + towards * image
        if before is not None:
            x = x + 0.5 * towards * h / h_before * (image - before)
        x = x + following * np.sqrt(-np.expm1(-2 * h * eta)) * normal() if eta > 0 else x
        before, h_before = image, h


@pytest.mark.parametrize("schedule_name", ["linear", "cosine"])
@pytest.mark.parametrize(
    ("name", "options", "solver", "eta"),
    [
        ("ddim", {}, euler_ancestral, 0),
        ("ddim", {"eta": 1.0}, euler_ancestral, 1),
        ("dpmpp_2m", {}, dpmpp_2m_sde_midpoint, 0),
        ("dpmpp_2m_sde", {}, dpmpp_2m_sde_midpoint, 1),
    ],
)
def test_it_is_what_k_diffusion_calls_otherwise(schedule_name, name, options, solver, eta):
    """The table of names in docs/sampling.md."""
    schedule, latents = SCHEDULES[schedule_name], np.random.default_rng(0).normal(size=20)
    pairs = timestep_pairs(schedule, 12, "karras")
    timestep = {schedule.noise_levels[t]: t for t, _ in pairs}
    predict = gaussian_predict(schedule, 0.1, 0.5)

    def denoise(x, sigma):
        t = timestep[sigma]
        return predict(np.sqrt(schedule.alpha_bar(t)) * x, t).x0

    start = latents / np.sqrt(schedule.alpha_bar(pairs[0][0]))
    theirs = solver(denoise, start, [*timestep, 0.0], eta, fixed_noise(latents.shape))
    step, normal = SAMPLERS[name].step, fixed_noise(latents.shape)
    ours = iterates(step, predict, latents, schedule, pairs, normal, **options)[-1]
    np.testing.assert_allclose(ours, theirs, atol=1e-11)
