"""The learnt weight of each noise level: where it settles, and what it makes each level count."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.training import DiffusionModel
from kdiffusion.training.loss_uncertainty import LossUncertainty

SCHEDULE = make_schedule("cosine", 50)
TIMESTEPS = np.arange(50, dtype="int32")


def test_every_level_begins_with_the_weight_one():
    losses = np.linspace(0.1, 2.0, 50).astype("float32")
    np.testing.assert_array_equal(LossUncertainty(SCHEDULE).weighted(losses, TIMESTEPS), losses)


@pytest.mark.slow
@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_it_learns_the_logarithm_of_each_levels_loss(zero_terminal_snr):
    uncertainty = LossUncertainty(make_schedule("cosine", 50, zero_terminal_snr))
    losses = np.exp(-np.linspace(0.0, 3.0, 50)).astype("float32")
    optimizer = keras.optimizers.Adam(0.02)
    for _ in range(800):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(uncertainty.weighted(losses, TIMESTEPS))
        gradients = tape.gradient(loss, uncertainty.trainable_variables)
        optimizer.apply_gradients(zip(gradients, uncertainty.trainable_variables, strict=True))
    np.testing.assert_allclose(uncertainty(TIMESTEPS), np.log(losses), atol=0.1)


def test_a_step_moves_it_and_weighs_the_network_by_it(scale_network):
    model = DiffusionModel(
        scale_network, SCHEDULE, learned_weighting=True, label_dropout=0.0, gradient_clip_norm=None
    )
    model.compile(keras.optimizers.SGD(0.1))
    model.loss_uncertainty.bias.assign(2.0)
    images = np.random.default_rng(0).uniform(-1, 1, (8, 2, 2, 1)).astype("float32")
    timesteps, noise, _ = model._draw(images, 0)
    model.train_on_batch(images, np.zeros(8, "int32"))
    signal = np.sqrt(SCHEDULE.alphas_cumprod[timesteps])[:, None, None, None]
    noisy = signal * images + np.sqrt(1 - signal**2) * noise
    gradient = np.exp(-2.0) * np.mean(-2 * noise * noisy)
    np.testing.assert_allclose(scale_network.get_weights()[1][0, 0], -0.1 * gradient, rtol=1e-4)
    losses = np.mean(np.square(noise), axis=(1, 2, 3))
    bias = 2.0 - 0.1 * np.mean(1.0 - losses * np.exp(-2.0))
    assert float(model.loss_uncertainty.bias.numpy()) == pytest.approx(bias, rel=1e-5)


def test_a_saved_model_goes_on_with_what_it_learnt(scale_network, tmp_path):
    model = DiffusionModel(scale_network, SCHEDULE, learned_weighting=True)
    model.loss_uncertainty.bias.assign(0.5)
    model.compile("sgd")
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert float(copy.loss_uncertainty.bias.numpy()) == 0.5
