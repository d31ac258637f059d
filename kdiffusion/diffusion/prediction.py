"""What a denoiser predicts, and the image and the noise that follow from it.

x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps ties three quantities together, so one of them, or
v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 (Salimans & Ho 2022, section 4), gives the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.diffusion.conditions import Conditions
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.tables import check_name

# network(noisy_images [B, H, W, C] float32, timesteps [B] int32, labels [B] int32) -> prediction: a
# Denoiser without its card. More conditions are keyword arguments.
Network = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Target:
    """What a network can be trained to predict; signal = sqrt(abar), noise = sqrt(1 - abar).

    Attributes:
        to_x0_and_eps: (prediction, x, signal, noise) -> (x_0, eps).
        of_x0_and_eps: (x_0, eps, signal, noise) -> prediction.
        x0_error: (SNR) -> the squared error in x_0 that one of 1 in the prediction makes.
    """

    to_x0_and_eps: Callable[[Any, Any, Any, Any], tuple[Any, Any]]
    of_x0_and_eps: Callable[[Any, Any, Any, Any], Any]
    x0_error: Callable[[np.ndarray], np.ndarray]


TARGETS = {
    "epsilon": Target(
        lambda eps, x, signal, noise: ((x - noise * eps) / signal, eps),
        lambda x0, eps, signal, noise: eps,
        lambda snr: 1.0 / snr,
    ),
    "x0": Target(
        lambda x0, x, signal, noise: (x0, (x - signal * x0) / noise),
        lambda x0, eps, signal, noise: x0,
        np.ones_like,
    ),
    "v": Target(
        lambda v, x, signal, noise: (signal * x - noise * v, noise * x + signal * v),
        lambda x0, eps, signal, noise: signal * eps - noise * x0,
        lambda snr: 1.0 / (snr + 1.0),
    ),
}


@dataclass(frozen=True)
class Estimate:
    """What one look of the network at x says: x = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps."""

    t: int
    x: np.ndarray
    x0: np.ndarray
    eps: np.ndarray


# predict(x, t) -> Estimate: all that a sampler sees of the network, its labels and its target.
Predict = Callable[[np.ndarray, int], Estimate]


def check_prediction_type(prediction_type: str, schedule: NoiseSchedule) -> None:
    """Refuses an unknown target, and one that can't be learned under the schedule.

    Args:
        prediction_type: str. A key of `TARGETS`.
        schedule: `NoiseSchedule`.
    """
    check_name("prediction_type", prediction_type, TARGETS)
    if schedule.ends_in_pure_noise and prediction_type == "epsilon":
        raise ValueError(
            '`prediction_type` must be "x0" or "v" when the schedule ends in pure noise (zero '
            "terminal SNR): there x_0 = (x_t - eps) / 0. Received: prediction_type='epsilon'"
        )


def to_x0_and_eps(
    prediction: Any, x: Any, alpha_bar: float | np.ndarray, prediction_type: str
) -> tuple[Any, Any]:
    """(x_0, eps) from the prediction at x (Ho et al. 2020, eq. 15; Salimans & Ho 2022, app. D).

    Args:
        prediction: array, what the network gave.
        x: array of the same shape, x_t.
        alpha_bar: float or an array that broadcasts, abar_t; above 0 for "epsilon".
        prediction_type: str. A key of `TARGETS`.

    Returns:
        Two arrays of the same shape.
    """
    signal, noise = np.sqrt(alpha_bar), np.sqrt(1.0 - alpha_bar)
    return TARGETS[prediction_type].to_x0_and_eps(prediction, x, signal, noise)


def from_x0_and_eps(x0: Any, eps: Any, alpha_bar: float | np.ndarray, prediction_type: str) -> Any:
    """The network's target for an image and its noise: the inverse of `to_x0_and_eps`."""
    # Powers, not np.sqrt: training calls this on tensors.
    signal, noise = alpha_bar**0.5, (1.0 - alpha_bar) ** 0.5
    return TARGETS[prediction_type].of_x0_and_eps(x0, eps, signal, noise)


def predictor(
    network: Network,
    conditions: Conditions,
    schedule: NoiseSchedule,
    prediction_type: str,
    clip: bool = False,
) -> Predict:
    """The border between the float64 mathematics and the network.

    When x_0 is clipped, eps is recomputed from it so that the two still make up x: samplers in x_0
    and in eps then see the same thing.

    Args:
        network: what predicts.
        conditions: `Conditions` of the batch.
        schedule: `NoiseSchedule` that the network was trained with.
        prediction_type: str. What the network predicts.
        clip: bool. Whether x_0 is clipped to [-1, 1] (Ho et al. 2020's code, `clip_denoised`).

    Returns:
        `predict(x, t) -> Estimate` with float64 arrays `[B, H, W, C]`.
    """
    label, more = conditions.label, conditions.more

    def predict(x, t):
        timesteps = np.full(len(x), t, np.int32)
        prediction = network(x.astype(np.float32), timesteps, label, **more)
        prediction = np.asarray(prediction, np.float64)
        if not np.all(np.isfinite(prediction)):  # NaN would come out as a black image
            raise ValueError(f"`denoiser` must return finite numbers; it did not at timestep {t}.")
        prediction = prediction.reshape(x.shape)  # one of another size would be broadcast
        alpha_bar = schedule.alpha_bar(t)
        x0, eps = to_x0_and_eps(prediction, x, alpha_bar, prediction_type)
        if clip:
            x0 = np.clip(x0, -1.0, 1.0)
            eps = (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1.0 - alpha_bar)
        return Estimate(t, x, x0, eps)

    return predict
