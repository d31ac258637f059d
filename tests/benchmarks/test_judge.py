"""The judge's network, the form in which it is used, and the command that trains one."""

import keras
import numpy as np
import pytest

from benchmarks.judge.network import (
    LOGIT_SCALE,
    PATCH,
    judge_network,
    reading_network,
    whitening,
)
from kdiffusion.data import load_dataset
from kdiffusion.parts.evaluation.judge import find_judge, load_judge


def _images(count, shape=(8, 12, 3), seed=0):
    """Images whose neighbouring pixels and channels agree, as those of photographs do."""
    noise = np.random.default_rng(seed).normal(128, 60, (count, *shape))
    smooth = (
        noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2) + noise.mean(-1)[..., None]
    )
    return np.clip(smooth / 4, 0, 255).astype(np.uint8)


def test_whitened_patches_are_uncorrelated_and_of_variance_one():
    images = _images(200)
    kernel, bias = whitening(images)
    layer = keras.layers.Conv2D(kernel.shape[-1], PATCH, dtype="float32")
    layer.build((None, *images.shape[1:]))
    layer.set_weights([kernel, bias])
    responses = np.asarray(layer(images.astype(np.float32))).reshape(-1, 2 * PATCH**2 * 3)
    half = responses.shape[1] // 2
    np.testing.assert_allclose(responses[:, half:], -responses[:, :half], atol=1e-3)
    np.testing.assert_allclose(responses[:, :half].mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(responses[:, :half], rowvar=False), np.eye(half), atol=0.05)


@pytest.fixture
def trained():
    """A network of several levels whose every weight is some number."""
    network = judge_network((16, 20, 3), 4, 8)
    network.get_layer("whiten").set_weights(whitening(_images(50, (16, 20, 3))))
    rng = np.random.default_rng(0)
    network.set_weights(
        [weight + rng.uniform(0.05, 0.3, weight.shape) for weight in network.get_weights()]
    )
    return network


def test_the_network_in_use_computes_what_the_trained_one_does(trained):
    pixels = _images(5, (16, 20, 3), seed=1).astype(np.float32)
    read = reading_network(trained, both_sides=False)(pixels)
    expected = np.asarray(trained(pixels, training=False))
    np.testing.assert_allclose(read["logits"], expected, rtol=1e-3)
    (head,) = trained.get_layer("head").get_weights()
    np.testing.assert_allclose(
        np.asarray(read["features"]) @ head * LOGIT_SCALE, expected, rtol=1e-3
    )
    assert np.ptp(expected, axis=0).min() > 1e-3  # images are told apart at all


def test_both_sides_are_the_mean_of_an_image_and_its_mirror_image(trained):
    pixels = _images(5, (16, 20, 3), seed=1).astype(np.float32)
    one = reading_network(trained, both_sides=False)
    both = reading_network(trained, both_sides=True)(pixels)
    for name in ("logits", "features"):
        sides = [np.asarray(one(these)[name]) for these in (pixels, pixels[:, :, ::-1])]
        np.testing.assert_allclose(both[name], np.mean(sides, axis=0), rtol=1e-4)
        assert np.abs(sides[0] - sides[1]).max() > 1e-3


@pytest.mark.slow
def test_the_command_writes_a_judge_that_reads(tmp_path, run_python):
    file = tmp_path / "judge.onnx"
    options = ["--images", "30000", "--width", "16", "--dtype-policy", "float32"]
    run_python("-m", "benchmarks.judge", "digits", "--out", file, *options)
    judge, digits = load_judge(file), load_dataset("digits")
    right = judge.read(digits.validation_images)[0].argmax(axis=1) == digits.validation_labels
    assert judge.accuracy["clean"] == pytest.approx(right.mean())
    assert right.mean() > 0.9
    assert find_judge("digits", judge.image_shape, judge.class_names).name == "digits"
