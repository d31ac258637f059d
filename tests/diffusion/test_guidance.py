"""Guidance: the paper's convention, its cost, its limits."""

import numpy as np
import pytest

from kdiffusion.diffusion.guidance import guided, within_interval

NULL = 3


class Labelled:
    """Predicts (label + 1) x + label; counts rows of each call."""

    def __init__(self):
        self.rows = []

    def __call__(self, noisy_image, timestep, label):
        self.rows.append(len(noisy_image))
        label = label[:, None, None, None].astype(np.float32)
        return (label + 1) * noisy_image + label


def batch(labels, timesteps=5):
    labels = np.asarray(labels, np.int32)
    images = np.linspace(-1, 1, len(labels) * 6, dtype=np.float32).reshape(len(labels), 2, 3, 1)
    return images, np.broadcast_to(np.int32(timesteps), len(labels)), labels


def assert_guided(prediction, x, labels, strength):
    """That it is the paper's combination, of one strength or one for each row."""
    labels, w = (np.reshape(each, (-1, 1, 1, 1)) for each in (labels, strength))
    expected = (1 + w) * ((labels + 1) * x + labels) - w * ((NULL + 1) * x + NULL)
    np.testing.assert_allclose(prediction, expected, rtol=1e-5, atol=1e-5)
    assert prediction.dtype == np.float32


@pytest.mark.parametrize("strength", [-1.0, 0.5, 3.0, np.float64(1.5)])
def test_the_papers_convention_in_one_call_and_no_label_is_not_guided(strength):
    denoiser = Labelled()
    x, t, labels = batch([0, NULL, 2, NULL])
    prediction = guided(denoiser, strength, NULL, np.ones(t.max() + 1, bool))(x, t, labels)
    assert denoiser.rows == [6]
    assert_guided(prediction, x, labels, strength)
    np.testing.assert_array_equal(prediction[[1, 3]], Labelled()(x, t, labels)[[1, 3]])


def test_outside_the_interval_a_row_costs_one_evaluation():
    noise_levels = np.array([0.1, 0.5, 1.0, 2.0, 10.0])
    denoiser = Labelled()
    guide = guided(denoiser, 2.0, NULL, within_interval(noise_levels, (0.5, 2.0)))
    x, t, labels = batch([0, 1, 2, 0, 1], [0, 1, 2, 3, 4])
    prediction = guide(x, t, labels)
    assert denoiser.rows == [7]  # low < sigma <= high: timesteps 2 and 3
    assert_guided(prediction, x, labels, [0, 0, 2, 2, 0])
    guide(*batch([0, 1], 0))
    assert denoiser.rows == [7, 2]
