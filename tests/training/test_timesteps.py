"""Importance sampling of timesteps: what it learns, that it is unbiased, and that it pays."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.training.timesteps import (
    TIMESTEP_SAMPLING,
    LogNormalTimesteps,
    LossSecondMoment,
    draw_fractions,
)
from tests.training.toy import BATCHES, IMAGES, LABELS, compiled, draw

T = 5
LOSSES = np.array([1.0, 2.0, 3.0, 4.0, 10.0], "float32")  # of each t, always the same


def _met(times, losses=LOSSES):
    sampler = LossSecondMoment(T)
    for _ in range(times):
        sampler.update(tf.constant(losses), tf.range(T))
    return sampler


def test_each_timestep_is_met_ten_times_before_any_is_preferred():
    np.testing.assert_allclose(_met(9).probabilities(), np.full(T, 0.2), rtol=1e-6)
    np.testing.assert_allclose(_met(9).importance(tf.range(T)), np.ones(T), rtol=1e-6)
    # Then by the root of the second moment.
    expected = 0.999 * LOSSES / LOSSES.sum() + 0.001 / T
    np.testing.assert_allclose(_met(10).probabilities(), expected, rtol=1e-5)
    np.testing.assert_allclose(_met(10).importance([4]), [1 / (T * expected[4])], rtol=1e-5)


def test_the_average_forgets_with_its_memory():
    sampler = LossSecondMoment(T)
    drawn = np.random.default_rng(0).uniform(0, 2, (30, 3)).astype("float32")
    for losses in drawn:
        sampler.update(tf.constant(losses), tf.constant([2, 2, 0]))
    weights = 0.9 ** np.arange(29, -1, -1)
    mean_0 = np.sum(0.1 * weights * drawn[:, 2] ** 2)
    both = (drawn[:, :2] ** 2).mean(axis=1)
    mean_2 = np.sum((1 - 0.9**2) * weights**2 * both)
    np.testing.assert_allclose(sampler.average, [mean_0, 0, mean_2, 0, 0], rtol=1e-5)
    np.testing.assert_array_equal(sampler.seen, [30, 0, 60, 0, 0])


def test_drawn_timesteps_have_those_probabilities():
    sampler = _met(10)
    shares = np.bincount(sampler.draw(100_000, [3, 4]), minlength=T) / 100_000
    np.testing.assert_allclose(shares, sampler.probabilities(), atol=2e-5)


def test_fractions_are_independent_or_one_from_each_stratum():
    fractions = np.asarray(draw_fractions(1000, [3, 4], stratified=True))
    np.testing.assert_array_equal((fractions * 1000).astype(int), np.arange(1000))
    fractions = np.asarray(draw_fractions(1000, [3, 4], stratified=False))
    assert np.abs(np.bincount((fractions * 10).astype(int)) - 100).max() < 5 * 10
    assert np.any(np.diff(fractions) < 0)


@pytest.mark.parametrize(("mean", "std"), [(-0.4, 1.0), (-1.2, 1.2), (0.5, 0.3)])
@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_log_normal_timesteps_have_the_moments_of_their_density(mean, std, zero_terminal_snr):
    schedule = make_schedule("cosine", 1000, zero_terminal_snr)
    sampler = LogNormalTimesteps(schedule, mean, std)
    assert sampler.probabilities.sum() == pytest.approx(1.0)
    drawn = np.log(schedule.noise_levels[np.asarray(sampler.draw(50_000, [1, 2]))])
    assert drawn.mean() == pytest.approx(mean, abs=0.02)
    assert drawn.std() == pytest.approx(std, rel=0.02)
    # The share below any level is the normal distribution's.
    for level, share in ((mean - std, 0.1587), (mean, 0.5), (mean + std, 0.8413)):
        assert np.mean(drawn < level) == pytest.approx(share, abs=0.01)
    assert sampler.importance(np.arange(3)) == 1.0


@pytest.mark.parametrize("num_timesteps", [20, 1000])
def test_an_infinite_noise_level_is_never_drawn_and_takes_nothing_of_its_neighbour(num_timesteps):
    schedule = make_schedule("cosine", num_timesteps, zero_terminal_snr=True)
    without = NoiseSchedule(schedule.alphas_cumprod[:-1])
    sampler, finite = (LogNormalTimesteps(each, 0.0, 2.0) for each in (schedule, without))
    np.testing.assert_array_equal(sampler.probabilities, [*finite.probabilities, 0.0])


@pytest.mark.parametrize("log_sigma", [(float("nan"), 1.0), (50.0, 1.0)])
def test_a_density_that_the_schedule_does_not_meet_is_refused(log_sigma):
    with pytest.raises(ValueError, match="log_sigma"):
        TIMESTEP_SAMPLING["log_normal"](make_schedule("cosine"), log_sigma)


def _model(network, schedule, **arguments):
    return compiled(
        network, schedule, keras.optimizers.SGD(0.1), timestep_sampling="loss_second_moment",
        label_dropout=0.0, **arguments,
    )  # fmt: skip


def test_training_learns_the_moments_and_evaluates_without_them(scale_network, schedule):
    model = _model(scale_network, schedule)
    losses = model.evaluate(BATCHES, return_dict=True, verbose=0)
    np.testing.assert_array_equal(model.timestep_sampler.seen, np.zeros(100))
    model.fit(BATCHES, epochs=3, verbose=0)
    assert np.sum(model.timestep_sampler.seen) == 3 * 8
    model.timestep_sampler.seen.assign(np.full(100, 10.0))
    model.ema_network.set_weights([np.zeros((3, 1)), np.zeros((1, 1))])
    assert model.evaluate(BATCHES, return_dict=True, verbose=0) == losses


def test_the_gradient_counts_each_timestep_by_its_importance(scale_network, schedule):
    model = _model(scale_network, schedule, gradient_clip_norm=None)
    moments = np.linspace(0.1, 4.0, 100).astype("float32")
    model.timestep_sampler.average.assign(moments)
    model.timestep_sampler.seen.assign(np.full(100, 1000.0))
    timesteps, noise, _ = draw(model, IMAGES, 0)
    importance = np.asarray(model.timestep_sampler.importance(timesteps))
    assert np.ptp(importance) > 0.1
    logs = model.train_on_batch(IMAGES, LABELS, return_dict=True)
    signal = np.sqrt(schedule.alphas_cumprod[timesteps])[:, None, None, None]
    noisy = signal * IMAGES + np.sqrt(1 - signal**2) * noise
    gradient = np.mean(importance[:, None, None, None] * -2 * noise * noisy)
    np.testing.assert_allclose(scale_network.get_weights()[1][0, 0], -0.1 * gradient, rtol=1e-4)
    losses = np.mean(np.square(noise), axis=(1, 2, 3))
    np.testing.assert_allclose(logs["loss"], np.average(losses, weights=importance), rtol=1e-5)
    # The moments are of the losses as they are.
    for t in np.unique(timesteps):
        kept = 0.9 ** np.sum(timesteps == t)
        expected = kept * moments[t] + (1 - kept) * np.mean(losses[timesteps == t] ** 2)
        np.testing.assert_allclose(model.timestep_sampler.average[t], expected, rtol=1e-4)


@pytest.mark.parametrize("loss", [np.nan, np.inf, 1e30])
def test_a_loss_that_is_not_finite_is_left_out(loss):
    sampler, without = _met(10), _met(10)
    sampler.update(tf.constant([loss, 2.0, 3.0]), tf.constant([3, 3, 5]))
    without.update(tf.constant([2.0, 3.0]), tf.constant([3, 5]))
    np.testing.assert_array_equal(sampler.probabilities(), without.probabilities())
    assert np.isfinite(sampler.probabilities()).all()


def test_replicas_learn_the_same_moments_together(scale_network, schedule):
    # Not collectives: their numbering would meet that of the next strategy in this process.
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = _model(type(scale_network)(), schedule)
    model.fit(BATCHES, epochs=3, verbose=0)
    moments = model.timestep_sampler
    assert np.sum(moments.seen) == 3 * 8
    for variable in (moments.average, moments.seen):
        copies = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(copies[0], copies[1])
