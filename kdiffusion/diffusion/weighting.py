"""Loss weightings: how much each timestep counts in training."""

import numpy as np

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.prediction import TARGETS

SIGMA_DATA = 0.5  # the standard deviation of images in [-1, 1], as EDM takes it
GAMMA = 5.0  # where min-SNR stops growing (Hang et al. 2023)

# The weight of the squared error in x_0, of the SNR; None is 1 for the error of the target.
LOSS_WEIGHTINGS = {
    "simple": None,
    "min_snr": lambda snr: np.minimum(snr, GAMMA),
    "edm": lambda snr: snr + SIGMA_DATA**-2,
}
# How to sample timesteps: the rows of `TIMESTEP_SAMPLING` in training/timesteps.py, which
# needs TensorFlow. A test holds them to it.
TIMESTEP_SAMPLING_NAMES = ("uniform", "stratified", "log_normal", "loss_second_moment")


def loss_weights(
    schedule: NoiseSchedule, prediction_type: str, weighting: str = "simple"
) -> np.ndarray:
    """The weight of each timestep's squared error.

    "simple" is 1 everywhere (Ho et al. 2020, eq. 14). "min_snr" weights the error in x_0 by
    min(SNR, 5) (Hang et al. 2023, section 3.4), which for the other targets is divided by the
    SNR (epsilon) or by SNR + 1 (v). With zero terminal SNR that gives the last timestep, where
    sampling begins, no weight at all: train such a schedule with "simple". "edm" weights the error
    in x_0 by 1 / sigma^2 + 1 / 0.5^2 (Karras et al. 2022, table 1). With the target v every noise
    level then counts nearly alike before training, and the density of the drawn ones decides. With
    epsilon the noisiest levels weigh as much as all others together, with x0 the cleanest.

    Args:
        schedule: `NoiseSchedule`.
        prediction_type: str. The target whose squared error is weighted.
        weighting: str. A key of `LOSS_WEIGHTINGS`.

    Returns:
        float64 array `[T]`.
    """
    snr = schedule.signal_to_noise
    weight = LOSS_WEIGHTINGS[weighting]
    if weight is None:
        return np.ones_like(snr)
    return weight(snr) * TARGETS[prediction_type].x0_error(snr)
