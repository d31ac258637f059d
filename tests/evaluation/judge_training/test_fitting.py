"""How a judge is trained: the learning rate, the look ahead, and what is refused."""

import keras
import numpy as np
import pytest

from kdiffusion.data import load_dataset
from kdiffusion.evaluation.judge_training.fitting import (
    LOOKAHEAD_STEPS,
    Lookahead,
    Triangle,
    train_judge,
)


def test_the_learning_rate_is_a_triangle():
    rate = Triangle(2.0, 100)
    found = [float(rate(step)) for step in (0, 23, 61.5, 100)]
    np.testing.assert_allclose(found, [0.4, 2.0, 2.0 * (1 + 0.07) / 2, 0.14], rtol=1e-5)


def test_weights_go_back_to_their_average_now_and_then_and_at_the_end():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    steps = 2 * LOOKAHEAD_STEPS + 3
    lookahead = Lookahead(steps)
    lookahead.set_model(model)
    model.set_weights([np.array([[0.0]])])
    lookahead.on_train_begin()
    weight = average = 0.0
    for step in range(1, steps + 1):
        weight += 1.0
        model.set_weights([np.array([[weight]])])
        lookahead.on_train_batch_end(step - 1)
        if step % LOOKAHEAD_STEPS == 0:
            decay = 0.95**5 * (step / steps) ** 3
            weight = average = decay * average + (1 - decay) * weight
        assert float(model.get_weights()[0][0, 0]) == pytest.approx(weight)
    lookahead.on_train_end()
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(average)


def test_a_training_that_ends_before_any_average_keeps_its_weights():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    lookahead = Lookahead(LOOKAHEAD_STEPS)
    lookahead.set_model(model)
    model.set_weights([np.array([[0.0]])])
    lookahead.on_train_begin()
    model.set_weights([np.array([[5.0]])])
    for batch in range(LOOKAHEAD_STEPS):
        lookahead.on_train_batch_end(batch)
    lookahead.on_train_end()
    assert float(model.get_weights()[0][0, 0]) == 5.0


@pytest.mark.parametrize("name", ["width", "images", "batch_size"])
def test_a_number_that_cannot_be_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: {name}=0"):
        train_judge(load_dataset("digits"), **{name: 0})


def test_a_share_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"`spoilt_share` must be from 0 to 1. Received: .*=1.5"):
        train_judge(load_dataset("digits"), spoilt_share=1.5)


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step(monkeypatch):
    monkeypatch.setattr("kdiffusion.evaluation.judge_training.fitting.LEARNING_RATE", 1e30)
    with pytest.raises(FloatingPointError, match=r"loss is (nan|inf) at step \d+: training stops"):
        train_judge(
            load_dataset("digits"), width=4, images=320, batch_size=32, dtype_policy="float32",
            progress=False,
        )  # fmt: skip
