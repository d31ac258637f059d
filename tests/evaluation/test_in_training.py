"""An evaluation in training finds what the command finds: here of a denoiser that is known."""

import numpy as np
import pytest

from kdiffusion.data import load_dataset
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.evaluation.in_training import DRAWN_AT_A_TIME, EvaluationInTraining, said_of
from kdiffusion.evaluation.judge import JudgeCard, JudgeError
from kdiffusion.evaluation.network_measures import measure_network
from kdiffusion.images import to_model_range

NAMES = tuple("0123456789")


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture
def card():
    return DenoiserCard(
        image_shape=(8, 8, 1), class_names=NAMES, null_label=10, prediction_type="x0",
        alphas_cumprod=np.linspace(0.99, 0.001, 20), sampler="ddim", steps=2, guidance_strength=0.0,
        dataset="digits", preset="digits", images_seen=0, ema_decay=0.9,
    )  # fmt: skip


def _draws(images, card):
    """A Denoiser that answers each class with one image of it."""

    def denoiser(noisy_images, timesteps, labels):
        return images[np.minimum(labels, len(images) - 1)]

    return NetworkDenoiser(card, denoiser)


@pytest.fixture
def of_each_class(digits):
    first = [int(np.argmax(digits.labels == label)) for label in range(10)]
    return to_model_range(digits.images[first])


@pytest.fixture
def digits_judge(tmp_path, digits, write_linear_judge):
    """Reads an image as the class whose first training image is nearest to it."""
    first = [int(np.argmax(digits.labels == label)) for label in range(10)]
    templates = digits.images[first].reshape(10, -1).astype(np.float64)
    card = JudgeCard(
        class_names=NAMES, image_shape=(8, 8, 1), dataset="digits", accuracy={}, how_made="by hand"
    )
    bias = -0.5 * np.sum(templates**2, axis=1)
    return write_linear_judge(tmp_path / "nearest.onnx", np.eye(64), templates.T, bias, card)


def test_a_network_that_draws_what_is_asked_for_is_told_from_one_that_swaps_classes(
    digits, card, of_each_class, digits_judge
):
    evaluate = EvaluationInTraining(digits, 100, judge=str(digits_judge), progress=False)
    right, wrong = (
        evaluate(_draws(of_each_class, card)),
        evaluate(_draws(of_each_class[::-1].copy(), card)),
    )
    assert right["share_as_asked"] == 1.0
    assert wrong["share_as_asked"] == 0.0
    # The images are the same, in another order: so is their distance from the real ones.
    np.testing.assert_allclose(wrong["kernel_distance"], right["kernel_distance"], rtol=0.2)
    assert wrong["structure"] > right["structure"]
    assert right["seconds"] > 0


def test_the_network_is_measured_as_the_command_measures_it(digits, card, of_each_class):
    """On all held-out images, where more are asked for than there are."""
    denoiser = _draws(of_each_class, card)
    figures = EvaluationInTraining(digits, 300, progress=False)(denoiser)
    expected = measure_network(
        denoiser, digits.validation_images, digits.validation_labels, progress=False
    )
    np.testing.assert_allclose(figures["structure"], expected.structure)
    np.testing.assert_allclose(figures["detail"], expected.detail)


def test_without_a_judge_the_share_is_left_out(digits, card, of_each_class, tmp_path, monkeypatch):
    monkeypatch.setattr("kdiffusion.evaluation.judge.JUDGES", tmp_path)  # holds none
    figures = EvaluationInTraining(digits, 100, progress=False)(_draws(of_each_class, card))
    assert figures.keys() == {"kernel_distance", "structure", "detail", "seconds"}


def test_what_it_found_is_one_line_of_a_terminal():
    figures = {
        "share_as_asked": 0.98765, "kernel_distance": 12.3456, "structure": -1.23456,
        "detail": -1.23456, "seconds": 1234.5,
    }  # fmt: skip
    assert len(f"Epoch 1000: {said_of(figures)}") <= 80
    assert "as asked 0.988" in said_of(figures)
    del figures["share_as_asked"]
    assert "asked" not in said_of(figures)


def test_too_few_images_and_a_judge_that_is_not_there_are_refused(digits, tmp_path):
    with pytest.raises(ValueError, match=r"`evaluation\.images` must be at least 100"):
        EvaluationInTraining(digits, 99, progress=False)
    with pytest.raises(JudgeError, match="`judge` must be an ONNX file"):
        EvaluationInTraining(digits, 100, judge=str(tmp_path / "no.onnx"), progress=False)


def test_every_image_is_drawn_from_a_seed_of_its_own(digits, card):
    evaluate = EvaluationInTraining(digits, 2 * DRAWN_AT_A_TIME + 50, seed=3, progress=False)
    network = NetworkDenoiser(card, lambda x, t, label: np.tanh(x))
    images = np.concatenate(list(evaluate._draw(network)))
    assert len({image.tobytes() for image in images}) == len(images) == 2 * DRAWN_AT_A_TIME + 50
