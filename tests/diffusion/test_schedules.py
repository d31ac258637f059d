"""Schedules against the papers' formulas, and the process against its own definition."""

import inspect
import math

import numpy as np
import pytest

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.schedules import (
    SCHEDULES,
    linear_alphas_cumprod,
    make_schedule,
    zero_terminal_snr,
)


def test_cosine_follows_its_formula_until_the_cap():
    def f(time):
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    schedule = make_schedule("cosine", 1000)
    for t in (0, 1, 500, 997):
        assert schedule.alpha_bar(t) == pytest.approx(f((t + 1) / 1000) / f(0), rel=1e-9)
    assert schedule.betas[-1] == pytest.approx(0.999)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_timesteps", [2, 7, 100, 1000])
@pytest.mark.parametrize("zero_snr", [False, True])
def test_every_schedule_falls_and_destroys_the_image(name, num_timesteps, zero_snr):
    schedule = make_schedule(name, num_timesteps, zero_terminal_snr=zero_snr)
    assert schedule.num_timesteps == num_timesteps
    assert schedule.alphas_cumprod.dtype == np.float64
    assert schedule.ends_in_pure_noise == zero_snr
    if num_timesteps >= 100:
        assert schedule.alphas_cumprod[0] > 0.9
        assert schedule.alphas_cumprod[-1] < 1e-3
    np.testing.assert_allclose(np.cumprod(1 - schedule.betas), schedule.alphas_cumprod, atol=1e-15)


def test_zero_terminal_snr_keeps_the_first_and_zeroes_the_last():
    plain = linear_alphas_cumprod(1000)
    rescaled = zero_terminal_snr(plain)
    assert rescaled[0] == pytest.approx(plain[0], rel=1e-14)
    assert rescaled[-1] == 0.0
    # sqrt(abar) is mapped by one affine function.
    slopes = np.diff(np.sqrt(rescaled)) / np.diff(np.sqrt(plain))
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-8)


def test_minus_one_is_the_clean_image():
    schedule = make_schedule("cosine", 10)
    assert schedule.alpha_bar(-1) == 1.0
    expected = [1.0, *schedule.alphas_cumprod[[0, 9]]]
    np.testing.assert_array_equal(schedule.alpha_bar([-1, 0, 9]), expected)
    assert schedule.half_log_snr(-1) == np.inf
    x0 = np.full((2, 1, 1, 1), 0.3)
    np.testing.assert_array_equal(schedule.q_sample(x0, -1, np.ones_like(x0)), x0)


def test_q_sample_takes_a_timestep_for_each_image():
    schedule = make_schedule("linear", 10)
    x0, noise = np.full((2, 1, 1, 1), 0.5), np.full((2, 1, 1, 1), -2.0)
    x = schedule.q_sample(x0, np.array([0, 9]), noise)
    for row, t in enumerate((0, 9)):
        alpha_bar = schedule.alphas_cumprod[t]
        expected = math.sqrt(alpha_bar) * 0.5 - 2 * math.sqrt(1 - alpha_bar)
        assert x[row, 0, 0, 0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("t", "s"), [(9, 8), (9, 3), (5, 0), (4, -1), (0, -1)])
def test_posterior_is_bayes_rule(t, s):
    """q(x_s | x_t, x_0) by multiplying the densities q(x_t | x_s) and q(x_s | x_0) by hand."""
    schedule = make_schedule("cosine", 10)
    abar_t, abar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
    ratio, x0, x_t = abar_t / abar_s, 0.7, -0.4
    if s >= 0:
        precision = 1 / (1 - abar_s) + ratio / (1 - ratio)
        weighted = math.sqrt(abar_s) * x0 / (1 - abar_s) + math.sqrt(ratio) * x_t / (1 - ratio)
        mean, variance = weighted / precision, 1 / precision
    else:
        mean, variance = x0, 0.0
    assert schedule.posterior_mean(x0, x_t, t, s) == pytest.approx(mean, rel=1e-12)
    assert schedule.posterior_variance(t, "fixed_small", s) == pytest.approx(variance, rel=1e-12)


def test_fixed_large_is_beta():
    schedule = make_schedule("linear", 1000)
    large = [schedule.posterior_variance(t, "fixed_large") for t in range(1000)]
    np.testing.assert_allclose(large, schedule.betas, rtol=1e-12)
    assert schedule.posterior_variance(0, "fixed_small") == 0.0


@pytest.mark.parametrize("bad", [[0.5, 0.5], [0.4, 0.5], [1.0, 0.5], [0.5, -0.1], [0.5, np.nan]])
def test_impossible_alphas_cumprod_are_refused(bad):
    with pytest.raises(ValueError, match="`alphas_cumprod`"):
        NoiseSchedule(bad)


def test_a_schedule_is_a_value():
    values = linear_alphas_cumprod(10)
    schedule = NoiseSchedule(values)
    values[0] = 0.0
    assert schedule == make_schedule("linear", 10)
    with pytest.raises(ValueError, match="read-only"):
        schedule.alphas_cumprod[0] = 0.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_parameter_of_a_schedule_is_reached_by_name(name):
    parameters = inspect.signature(SCHEDULES[name]).parameters
    for option, parameter in list(parameters.items())[1:]:
        same = make_schedule(name, 50, **{option: parameter.default})
        other = make_schedule(name, 50, **{option: parameter.default * 1.5})
        assert same == make_schedule(name, 50)
        assert other != same


def test_sigmoid_follows_its_formula():
    """Jabri et al. 2023, appendix B: start -3, end 3, tau 1."""

    def f(time):
        low, high, here = (1 / (1 + math.exp(-v)) for v in (-3, 3, -3 + 6 * time))
        return (high - here) / (high - low)

    schedule = make_schedule("sigmoid", 1000)
    for t in (0, 100, 499, 900):
        assert schedule.alpha_bar(t) == pytest.approx(f((t + 1) / 1000), rel=1e-9)


@pytest.mark.parametrize("num_timesteps", [50, 100, 1000, 4000])  # the paper has 1000
def test_linear_betas_are_scaled_to_their_number(num_timesteps):
    scale = 1000 / num_timesteps
    betas = np.minimum(np.linspace(1e-4 * scale, 0.02 * scale, num_timesteps), 0.999)
    np.testing.assert_allclose(linear_alphas_cumprod(num_timesteps), np.cumprod(1 - betas))
