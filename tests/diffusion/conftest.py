"""Cards and denoisers whose right answers are known without training anything."""

import numpy as np
import pytest

from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.prediction import from_x0_and_eps


def _knows_x0(card, x0_of_label):
    """The optimal denoiser of a data set with one image a label: float64, no rounding."""

    def network(noisy_image, timestep, label):
        x = np.asarray(noisy_image, np.float64)
        x0 = np.asarray(x0_of_label)[label]
        alpha_bar = card.schedule.alpha_bar(timestep)[:, None, None, None]
        eps = (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar)
        return from_x0_and_eps(x0, eps, alpha_bar, card.prediction_type)

    return NetworkDenoiser(card, network)


@pytest.fixture
def knows_x0():
    """`knows_x0(card, x0_of_label [K, ...])`: a denoiser that knows each label's only image."""
    return _knows_x0


def _gaussian(card, mean=0.2, std=0.4):
    """The optimal denoiser of pixels that are N(mean, std^2), whatever the label."""

    def network(noisy_image, timestep, label):
        x = np.asarray(noisy_image, np.float64)
        alpha_bar = card.schedule.alpha_bar(timestep)[:, None, None, None]
        variance = alpha_bar * std**2 + 1 - alpha_bar
        x0 = mean + np.sqrt(alpha_bar) * std**2 / variance * (x - np.sqrt(alpha_bar) * mean)
        eps = (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar)
        return from_x0_and_eps(x0, eps, alpha_bar, card.prediction_type)

    return NetworkDenoiser(card, network)


@pytest.fixture
def gaussian():
    """`gaussian(card, mean, std)`: the optimal denoiser of Gaussian pixels."""
    return _gaussian


def exact_path(schedule, mean, std, x, t, s):
    """The ODE of Gaussian pixels in closed form: (x - root mean) / spread is kept."""
    spread = [np.sqrt(a * std**2 + 1 - a) for a in (schedule.alpha_bar(t), schedule.alpha_bar(s))]
    centres = [np.sqrt(schedule.alpha_bar(u)) * mean for u in (t, s)]
    return centres[1] + spread[1] / spread[0] * (x - centres[0])
