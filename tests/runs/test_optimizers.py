"""Muon on convolutions against its definition, and the learning rate's shapes."""

from pkgutil import resolve_name

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.runs.config import LEARNING_RATE_SHAPES, OPTIMIZERS, OptimizerConfig
from kdiffusion.runs.optimizers import ConvolutionMuon, FusedAdamW, Trapezoid

MAKERS = {name: resolve_name(OPTIMIZERS[name]) for name in OPTIMIZERS}


def _moved(optimizer, variable, gradient):
    before = np.asarray(variable)
    optimizer.apply_gradients([(tf.constant(gradient), variable)])
    return before - np.asarray(variable)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adamw_in_one_pass_is_keras_adamw(weight_decay):
    arguments = {"weight_decay": weight_decay, "beta_1": 0.8, "beta_2": 0.95}
    rng = np.random.default_rng(0)
    ours, theirs = (keras.Variable(np.ones((5, 4), "float32")) for _ in range(2))
    optimizers = [
        make(keras.optimizers.schedules.CosineDecay(0.1, 30), **arguments)
        for make in (FusedAdamW, keras.optimizers.AdamW)
    ]
    for _ in range(20):
        gradient = tf.constant(rng.normal(size=(5, 4)).astype("float32"))
        for optimizer, variable in zip(optimizers, (ours, theirs), strict=True):
            optimizer.apply_gradients([(gradient, variable)])
        np.testing.assert_allclose(ours, theirs, rtol=2e-6)
    for mine, other in zip(optimizers[0].variables, optimizers[1].variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (3, 3, 2, 64)])  # tall and wide matrices
def test_a_first_step_is_the_gradients_orthogonal_factor_at_adams_size(shape):
    gradient = np.random.default_rng(1).normal(size=shape).astype("float32")
    variable = keras.Variable(np.zeros(shape, "float32"))
    optimizer = ConvolutionMuon(0.01, weight_decay=None, adam_weight_decay=None)
    moved = _moved(optimizer, variable, gradient).reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(gradient.reshape(moved.shape), full_matrices=False)
    rows, columns = moved.shape
    scale = 0.01 * 0.2 * np.sqrt(max(rows, columns))
    found = np.diag(left.T @ (moved / scale) @ right.T)
    # Newton-Schulz brings each singular value near 1, not to it: between 0.68 and 1.13.
    assert np.all((found > 0.6) & (found < 1.25))
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(0.2 * 0.01, rel=0.25)


def test_what_is_no_convolution_follows_adamw():
    gradient = np.random.default_rng(1).normal(size=(8, 16)).astype("float32")
    config = OptimizerConfig(beta_2=0.99)
    steps = {
        name: _moved(make(config, 1e-3), keras.Variable(np.ones((8, 16), "float32")), gradient)
        for name, make in MAKERS.items()
    }
    np.testing.assert_allclose(steps["muon"], steps["adamw"], rtol=1e-5)


def test_a_trapezoid_rises_stays_and_falls_to_its_end():
    shape = Trapezoid(0.5, total_steps=100, warmup_steps=10, cooldown_steps=40, final=0.1)
    shape = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(shape))
    found = [float(shape(step)) for step in (0, 5, 10, 59, 60, 80, 100)]
    np.testing.assert_allclose(found, [0.0, 0.25, 0.5, 0.5, 0.5, 0.3, 0.1], rtol=1e-6)


@pytest.mark.parametrize("shape", LEARNING_RATE_SHAPES)
@pytest.mark.parametrize("warmup_steps", [0, 10])
def test_a_shape_starts_peaks_and_ends_where_it_says(shape, warmup_steps):
    config = OptimizerConfig(
        learning_rate=0.5,
        learning_rate_shape=shape,
        warmup_steps=warmup_steps,
        final_learning_rate_fraction=0.1,
    )
    rate = resolve_name(LEARNING_RATE_SHAPES[shape])(config, 100)
    assert float(rate(0)) == (0.0 if warmup_steps else 0.5)
    assert max(float(rate(step)) for step in range(100)) == pytest.approx(0.5)
    assert float(rate(100)) == pytest.approx(0.05)
