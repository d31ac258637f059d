import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.networks.activation import silu


def _value_and_slope(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y, tape.gradient(y, x)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 2**-7), ("float16", 2**-9)]
)
def test_value_and_slope_are_silus_to_the_rounding_of_the_type(dtype, tolerance):
    x = tf.cast(np.linspace(-12.0, 12.0, 481), dtype)
    exact = _value_and_slope(tf.nn.silu, tf.cast(x, tf.float64))
    for found, expected in zip(_value_and_slope(silu, x), exact, strict=True):
        assert found.dtype == dtype
        found = tf.cast(found, tf.float64)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=2e-7)


def test_the_slope_in_half_precision_is_nearer_than_tensorflows():
    x = tf.cast(np.linspace(-4.0, 4.0, 2001), tf.bfloat16)
    exact = _value_and_slope(tf.nn.silu, tf.cast(x, tf.float64))[1]
    ours, theirs = (
        np.abs(np.asarray(tf.cast(_value_and_slope(function, x)[1], tf.float64)) - exact).mean()
        for function in (silu, tf.nn.silu)
    )
    assert ours < 0.7 * theirs
