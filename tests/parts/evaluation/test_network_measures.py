"""Measures of a network on Gaussian mixtures, where the best network is known in closed form."""

import numpy as np
import pytest

from conformance.write import make_card
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.prediction import TARGETS
from kdiffusion.diffusion.schedules import SCHEDULES, make_schedule
from kdiffusion.parts.evaluation.network_measures import SIGMAS, measure_network
from tests.cases import side_by_side
from tests.diffusion.conftest import gaussian_predict, optimal

SHAPE = (2, 2, 1)
SPREAD = 0.08  # standard deviation within a class
MEANS = np.array([[-0.5, -0.5, 0.5, 0.5], [0.5, 0.5, 0.5, -0.5], [0.5, -0.5, -0.5, 0.0]])


def _card(schedule="cosine", **fields):
    fields = {"image_shape": SHAPE, "prediction_type": "v", **fields}
    return make_card(make_schedule(schedule), **fields)


def _best_network(card, means=MEANS, spread=SPREAD):
    """E[x_0 | x_t, label] for classes N(mean, spread^2 I)."""
    means = means.reshape(-1, *SHAPE)
    return optimal(card, lambda label: gaussian_predict(card.schedule, means[label], spread))


def _draw(count, means=MEANS, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(means)
    x0 = means[labels] + SPREAD * rng.normal(size=(count, 4))
    return np.rint((x0.reshape(-1, *SHAPE) + 1) * 127.5).astype(np.uint8), labels


@pytest.mark.parametrize(("schedule", "prediction_type"), side_by_side(SCHEDULES, TARGETS))
def test_a_mixtures_errors_are_those_in_closed_form(schedule, prediction_type):
    card = _card(schedule, prediction_type=prediction_type)
    images, labels = _draw(3000)
    found = measure_network(_best_network(card), images, labels, progress=False)
    expected = [sigma**2 * SPREAD**2 / (sigma**2 + SPREAD**2) for sigma in SIGMAS]
    np.testing.assert_allclose(found["x0_errors"], expected, rtol=0.05)
    assert found["images"] == 3000


def test_one_gaussian_is_as_good_as_the_linear_guess():
    means = np.zeros((1, 4))
    card = _card(class_names=("a",), null_label=1)
    images, labels = _draw(4000, means)
    found = measure_network(_best_network(card, means), images, labels, progress=False)
    assert abs(found["structure"]) < 4 * found["structure_standard_error"] + 0.01
    assert abs(found["detail"]) < 4 * found["detail_standard_error"] + 0.01


def test_a_worse_network_moves_the_measure_that_is_meant_to_see_it():
    card = _card()
    images, labels = _draw(600)
    best = _best_network(card)

    def worse_at(low, high):
        def denoise(noisy, timesteps, labels):
            sigma = card.schedule.noise_levels[timesteps[0]]
            return best(noisy, timesteps, labels) + 0.2 * (low < sigma < high)

        return denoise

    def measure(network):
        return measure_network(NetworkDenoiser(card, network), images, labels, progress=False)

    whole, coarse, fine = (measure(each) for each in (best, worse_at(0.3, 99), worse_at(0, 0.3)))
    assert coarse["structure"] > whole["structure"] + 0.1
    assert coarse["detail"] == whole["detail"]
    assert fine["detail"] > whole["detail"] + 0.1
    assert fine["structure"] == whole["structure"]


def test_a_networks_standard_errors_are_the_spread_of_repetitions():
    network = _best_network(_card())
    found = []
    for repetition in range(40):
        images, labels = _draw(90, seed=repetition)
        found.append(
            measure_network(network, images, labels, seed=1000 * repetition, progress=False)
        )
    for name in ("structure", "detail"):
        values = [each[name] for each in found]
        errors = [each[f"{name}_standard_error"] for each in found]
        assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.4), name
