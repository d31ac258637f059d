"""Loss weights against those of the papers, carried from target to target by hand."""

import numpy as np
import pytest

from kdiffusion.diffusion.prediction import TARGETS, from_x0_and_eps, to_x0_and_eps
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.weighting import LOSS_WEIGHTINGS, loss_weights

SCHEDULE = make_schedule("cosine", 1000)


@pytest.mark.parametrize("prediction_type", TARGETS)
def test_simple_is_one(prediction_type):
    np.testing.assert_array_equal(loss_weights(SCHEDULE, prediction_type, "simple"), np.ones(1000))


@pytest.mark.parametrize("weighting", LOSS_WEIGHTINGS)
@pytest.mark.parametrize("prediction_type", ["x0", "v"])
def test_zero_terminal_snr_gives_finite_weights(weighting, prediction_type):
    schedule = make_schedule("linear", 1000, zero_terminal_snr=True)
    weights = loss_weights(schedule, prediction_type, weighting)
    assert np.all(np.isfinite(weights))
    assert np.all(weights >= 0)


@pytest.mark.parametrize("prediction_type", TARGETS)
@pytest.mark.parametrize("weighting", [name for name, row in LOSS_WEIGHTINGS.items() if row])
def test_a_weighting_weighs_the_error_in_x0_alike_for_every_target(weighting, prediction_type):
    weights = loss_weights(SCHEDULE, prediction_type, weighting)
    assert weights.dtype == np.float64
    x0, eps, error = 0.4, -0.7, 1e-3
    for t in range(0, 990, 30):
        alpha_bar = SCHEDULE.alpha_bar(t)
        prediction = from_x0_and_eps(x0, eps, alpha_bar, prediction_type)
        x = SCHEDULE.q_sample(x0, t, eps)
        wrong, _ = to_x0_and_eps(prediction + error, x, alpha_bar, prediction_type)
        expected = LOSS_WEIGHTINGS[weighting](alpha_bar / (1 - alpha_bar)) * (wrong - x0) ** 2
        assert weights[t] * error**2 == pytest.approx(expected, rel=1e-6)


def test_the_papers_weights_of_the_error_in_x0():
    snr = SCHEDULE.signal_to_noise
    np.testing.assert_allclose(loss_weights(SCHEDULE, "x0", "min_snr"), np.minimum(snr, 5.0))
    # (sigma^2 + sd^2) / (sigma sd)^2 with sigma^2 = 1 / SNR, sd 0.5
    edm = (1 / snr + 0.25) / (1 / snr * 0.25)
    np.testing.assert_allclose(loss_weights(SCHEDULE, "x0", "edm"), edm)
