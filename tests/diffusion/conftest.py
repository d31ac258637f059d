"""Cards and denoisers whose right answers are known without training anything."""

import numpy as np
import pytest

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.prediction import from_x0_and_eps
from kdiffusion.diffusion.schedules import make_schedule


def _card(schedule=None, **overrides):
    schedule = make_schedule("linear", 1000) if schedule is None else schedule
    fields = {
        "image_shape": (2, 3, 1),
        "class_names": ("cat", "dog", "ship"),
        "null_label": 3,
        "prediction_type": "epsilon",
        "alphas_cumprod": tuple(schedule.alphas_cumprod),
        "dataset": "toy",
        "preset": "toy",
        "images_seen": 0,
        "ema_decay": 0.0,
        "sampler": "ddim",
        "steps": 10,
        "guidance_strength": 0.0,
    }
    return DenoiserCard(**{**fields, **overrides})


@pytest.fixture
def make_card():
    """`make_card(schedule=linear, **fields)`: a card of 2x3 grey images."""
    return _card


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
