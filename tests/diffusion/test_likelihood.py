"""The bound of a Gaussian toy against its analytic value, term by term."""

import math

import numpy as np
import pytest

from kdiffusion.diffusion.forward_process import VARIANCES
from kdiffusion.diffusion.likelihood import (
    discretised_log_likelihood,
    variational_bound,
)
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.spacing import timestep_pairs
from kdiffusion.images import to_model_range
from tests.tables import side_by_side

STD = 0.25
SHAPE = (32, 32, 3)


def gaussian_pixels(count):
    values = np.random.default_rng(0).normal(0.0, STD, (count, *SHAPE))
    return np.clip(np.rint((values + 1) * 127.5), 0, 255).astype(np.uint8)


def analytic_terms(schedule, pairs, variance):
    """Expected nats per dimension of each step, for pixels N(0, STD^2) and the best denoiser."""
    terms = []
    for t, s in pairs:
        a_t, a_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
        x0_error = STD**2 * (1 - a_t) / (a_t * STD**2 + 1 - a_t)  # Var[x_0 | x_t]
        beta = 1 - a_t / a_s
        if s < 0:
            (before, _), last = pairs[-2], a_t
            decoder = (1 - schedule.alpha_bar(before) / last) * (1 - last)
            decoder /= 1 - schedule.alpha_bar(before)
            density = 0.5 * math.log(2 * math.pi * decoder) + x0_error / (2 * decoder)
            terms.append(density - math.log(2 / 255))
            continue
        true = beta * (1 - a_s) / (1 - a_t)
        model = true if variance == "fixed_small" else beta
        mean_error = a_s * (beta / (1 - a_t)) ** 2 * x0_error
        terms.append(0.5 * (true / model - 1 + math.log(model / true) + mean_error / model))
    return np.array(terms)


@pytest.mark.parametrize(
    ("variance", "steps", "prediction_type"), side_by_side(VARIANCES, [20, 7], ["epsilon", "v"])
)
def test_every_term_of_a_gaussian_toy_is_its_analytic_value(
    variance, steps, prediction_type, make_card, gaussian
):
    # Few, large steps: the decoder's spread is many pixel values, so eq. 13 is a density.
    schedule = make_schedule("linear", 20)
    card = make_card(schedule, image_shape=SHAPE, prediction_type=prediction_type)
    bound = variational_bound(
        gaussian(card, mean=0.0, std=STD), gaussian_pixels(64), 0, range(64),
        steps=steps, variance=variance, clip=False, progress=False,
    )  # fmt: skip
    pairs = timestep_pairs(schedule, steps)
    expected = analytic_terms(schedule, pairs, variance) / math.log(2)
    # Each term is half a mean of 196,608 squares of normal numbers: 0.3 % of it by chance.
    np.testing.assert_allclose(bound.terms.mean(axis=0), expected, rtol=0.015, atol=1e-6)
    a = schedule.alphas_cumprod[-1]
    prior = 0.5 * (a * STD**2 - a - math.log1p(-a)) / math.log(2)
    assert bound.prior.mean() == pytest.approx(prior, rel=0.02, abs=1e-9)
    assert bound.total.mean() == pytest.approx(prior + expected.sum(), rel=2e-3)
    assert bound.timesteps.tolist() == [t for t, _ in pairs]


@pytest.mark.parametrize("variance", VARIANCES)
def test_the_bound_is_never_below_the_entropy(variance, make_card, gaussian):
    entropy = 0.5 * math.log2(2 * math.pi * math.e * STD**2) - math.log2(2 / 255)
    totals = []
    for num_timesteps in (10, 100, 1000):
        card = make_card(make_schedule("linear", num_timesteps), image_shape=SHAPE)
        bound = variational_bound(
            gaussian(card, mean=0.0, std=STD), gaussian_pixels(4), 0, range(4),
            variance=variance, clip=False, progress=False,
        )  # fmt: skip
        totals.append(bound.total.mean())
    # What remains at 1000 steps is eq. 13: a decoder narrower than what is unknown at t = 0.
    assert min(totals) > entropy
    assert variance == "fixed_large" or totals[0] > totals[1] > totals[2]


def test_batches_and_zero_terminal_snr(make_card, gaussian):
    schedule = make_schedule("cosine", 30, zero_terminal_snr=True)
    card = make_card(schedule, prediction_type="v")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 1), dtype=np.uint8)
    one, many = (
        variational_bound(
            gaussian(card), pixels, [0, 1, 2, 3, 0], range(5), batch_size=size, progress=False
        )
        for size in (2, 64)
    )
    np.testing.assert_allclose(one.terms, many.terms, rtol=1e-12)
    np.testing.assert_array_equal(one.prior, 0.0)
    assert np.all(np.isfinite(one.total))
    assert np.all(one.terms[:, :-1] >= 0)


@pytest.mark.parametrize("std", [1e-3, 0.01, 0.3, 5.0])
@pytest.mark.parametrize("mean", [-1.7, -1.0, 0.1, 1.0])
def test_the_256_pixel_values_share_the_whole_mass(mean, std):
    values = to_model_range(np.arange(256).astype(np.float64))
    log_mass = discretised_log_likelihood(values, mean, std**2)
    assert np.exp(log_mass).sum() == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.isfinite(log_mass))


def test_mass_far_in_the_tail_is_exact():
    # 10 and 10 + 2/255/0.05 standard deviations out, on either side; tails from math.erfc.
    expected = math.log(0.5 * (math.erfc(10 / 2**0.5) - math.erfc((10 + 40 / 255) / 2**0.5)))
    for sign in (1, -1):
        found = discretised_log_likelihood(0.0, sign * (0.5 + 1 / 255), 0.05**2)
        assert found == pytest.approx(expected, rel=1e-9)


def test_pixels_must_be_bytes(make_card, gaussian):
    with pytest.raises(ValueError, match="`images` must be uint8"):
        variational_bound(gaussian(make_card()), np.zeros((1, 2, 3, 1)), [0], [0])


def test_each_image_is_bounded_under_its_own_label(make_card, knows_x0):
    """The network that knows each label's image: under another label it pays for the error."""
    card = make_card(make_schedule("linear", 50))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 2, 3, 1), np.uint8)
    denoiser = knows_x0(card, to_model_range(pixels.astype(np.float64)))

    def steps(labels):
        bound = variational_bound(
            denoiser, pixels[:3], labels, range(3), variance="fixed_small", batch_size=2,
            progress=False,
        )  # fmt: skip
        return bound.terms[:, :-1]

    np.testing.assert_allclose(steps([0, 1, 2]), 0, atol=1e-6)
    assert np.all(steps([1, 2, 0]).sum(axis=1) > 0.1)
