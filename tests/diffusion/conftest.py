"""Cards and denoisers whose right answers are known without training anything."""

import numpy as np

from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.prediction import Estimate, from_x0_and_eps


def knows(x0, schedule):
    """`predict` for a data set of the single image x0."""

    def predict(x, t):
        alpha_bar = schedule.alpha_bar(t)
        return Estimate(t, x, x0, (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar))

    return predict


def gaussian_predict(schedule, mean, std):
    """`predict` for pixels that are N(mean, std^2)."""

    def predict(x, t):
        alpha_bar = schedule.alpha_bar(t)
        root, variance = np.sqrt(alpha_bar), alpha_bar * std**2 + 1 - alpha_bar
        return knows(mean + root * std**2 / variance * (x - root * mean), schedule)(x, t)

    return predict


def optimal(card, predict_of):
    """The denoiser that predicts by `predict_of(label [B])`: float64, no rounding."""

    def network(noisy_image, timestep, label):
        t = timestep[:, None, None, None]
        best = predict_of(label)(np.asarray(noisy_image, np.float64), t)
        alpha_bar = card.schedule.alpha_bar(t)
        return from_x0_and_eps(best.x0, best.eps, alpha_bar, card.prediction_type)

    return NetworkDenoiser(card, network)


def watched(denoiser, seen):
    """The denoiser, which adds (x, t, labels) of each of its calls to the list `seen`."""

    def network(noisy_image, timestep, label):
        seen.append((noisy_image, int(timestep[0]), label.tolist()))
        return denoiser(noisy_image, timestep, label)

    return NetworkDenoiser(denoiser.card, network)


def knows_x0(card, x0_of_label):
    """A denoiser that knows each label's only image, of `x0_of_label` `[K, ...]`."""
    return optimal(card, lambda label: knows(np.asarray(x0_of_label)[label], card.schedule))


def gaussian(card, mean=0.2, std=0.4):
    """The optimal denoiser of Gaussian pixels, whatever the label."""
    return optimal(card, lambda label: gaussian_predict(card.schedule, mean, std))


def exact_path(schedule, mean, std, x, t, s):
    """The ODE of Gaussian pixels in closed form: (x - root mean) / spread is kept."""
    spread = [np.sqrt(a * std**2 + 1 - a) for a in (schedule.alpha_bar(t), schedule.alpha_bar(s))]
    centres = [np.sqrt(schedule.alpha_bar(u)) * mean for u in (t, s)]
    return centres[1] + spread[1] / spread[0] * (x - centres[0])
