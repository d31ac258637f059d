"""The metrics of a training."""

import pytest
import tensorflow as tf

from kdiffusion.training.metrics import LossByTimestep


def test_each_quarter_has_the_losses_of_its_own_timesteps():
    metric = LossByTimestep(100)
    metric.update_state(tf.constant([1.0, 2.0, 3.0, 5.0, 7.0]), tf.constant([0, 24, 25, 74, 99]))
    result = {name: float(value) for name, value in metric.result().items()}
    expected = {
        "loss": 3.6,
        "loss_t0_24": 1.5,
        "loss_t25_49": 3.0,
        "loss_t50_74": 5.0,
        "loss_t75_99": 7.0,
    }
    assert result == pytest.approx(expected)


@pytest.mark.parametrize("num_timesteps", [2, 3])
def test_a_quarter_that_holds_no_timestep_is_left_out(num_timesteps):
    metric = LossByTimestep(num_timesteps)
    metric.update_state(tf.range(num_timesteps, dtype=tf.float32), tf.range(num_timesteps))
    by_timestep = {f"loss_t{t}_{t}": float(t) for t in range(num_timesteps)}
    expected = {"loss": (num_timesteps - 1) / 2, **by_timestep}
    assert {name: float(value) for name, value in metric.result().items()} == expected
