"""The three targets say the same thing."""

import numpy as np
import pytest

from kdiffusion.diffusion.conditions import Conditions
from kdiffusion.diffusion.prediction import (
    TARGETS,
    check_prediction_type,
    from_x0_and_eps,
    predictor,
    to_x0_and_eps,
)
from kdiffusion.diffusion.schedules import make_schedule


@pytest.mark.parametrize("prediction_type", TARGETS)
def test_a_prediction_holds_the_image_and_the_noise_at_every_timestep(prediction_type):
    schedule = make_schedule("linear", 1000)
    x0, eps = np.random.default_rng(0).normal(size=(2, 1000, 5))
    t = np.arange(1000)[:, None]
    alpha_bar, x = schedule.alpha_bar(t), schedule.q_sample(x0, t, eps)
    prediction = from_x0_and_eps(x0, eps, alpha_bar, prediction_type)
    found = to_x0_and_eps(prediction, x, alpha_bar, prediction_type)
    np.testing.assert_allclose(found, (x0, eps), atol=1e-11)


def test_epsilon_with_zero_terminal_snr_is_refused_with_the_reason():
    schedule = make_schedule("cosine", 10, zero_terminal_snr=True)
    with pytest.raises(ValueError, match="zero terminal SNR"):
        check_prediction_type("epsilon", schedule)
    check_prediction_type("v", schedule)


@pytest.mark.parametrize("prediction_type", TARGETS)
def test_clipping_keeps_x_made_of_x0_and_eps(prediction_type):
    schedule = make_schedule("linear", 100)
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 1)) * 2
    predict = predictor(
        lambda x, t, y: 0.1 * x, Conditions(np.zeros(4)), schedule, prediction_type, clip=True
    )
    for t in (0, 50, 99):
        estimate = predict(x, t)
        assert np.abs(estimate.x0).max() <= 1
        np.testing.assert_allclose(schedule.q_sample(estimate.x0, t, estimate.eps), x, atol=1e-12)


def test_the_network_sees_the_contracts_types_and_must_be_finite():
    schedule = make_schedule("linear", 10)
    seen = []

    def denoiser(noisy_image, timestep, label):
        seen.extend([noisy_image.dtype, timestep.dtype, label.dtype, timestep.tolist()])
        return noisy_image

    x = np.zeros((2, 1, 1, 1))
    predictor(denoiser, Conditions(np.array([1, 2], np.int32)), schedule, "epsilon")(x, 7)
    assert seen == [np.float32, np.int32, np.int32, [7, 7]]
    with pytest.raises(ValueError, match="finite"):
        predictor(lambda x, t, y: x * np.nan, Conditions(np.zeros(2)), schedule, "epsilon")(x, 7)
