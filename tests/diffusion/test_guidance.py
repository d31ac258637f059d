"""Guidance: the paper's convention, its cost, its limits."""

import numpy as np
import pytest

from kdiffusion.diffusion.guidance import guided

NULL = 3


class Labelled:
    """Predicts x + label; counts calls and rows."""

    def __init__(self):
        self.rows = []

    def __call__(self, noisy_image, timestep, label):
        self.rows.append(len(noisy_image))
        return noisy_image + label[:, None, None, None].astype(np.float32)


def batch(labels, timestep=5):
    labels = np.asarray(labels, np.int32)
    images = np.linspace(-1, 1, len(labels) * 6, dtype=np.float32).reshape(len(labels), 2, 3, 1)
    return images, np.full(len(labels), timestep, np.int32), labels


@pytest.mark.parametrize("strength", [-1.0, 0.5, 3.0])
def test_the_papers_convention_in_one_call(strength):
    denoiser = Labelled()
    x, t, labels = batch([0, 2])
    prediction = guided(denoiser, strength, NULL)(x, t, labels)
    for row, label in enumerate((0, 2)):
        expected = (1 + strength) * (x[row] + label) - strength * (x[row] + NULL)
        np.testing.assert_allclose(prediction[row], expected, rtol=1e-6)
    assert denoiser.rows == [4]
    assert prediction.dtype == np.float32


def test_strength_zero_is_the_conditional_model_itself():
    denoiser = Labelled()
    assert guided(denoiser, 0.0, NULL) is denoiser


@pytest.mark.parametrize("strength", [np.nan, np.inf, -1.5])
def test_impossible_strengths_are_refused(strength):
    with pytest.raises(ValueError, match="`guidance_strength`"):
        guided(Labelled(), strength, NULL)
