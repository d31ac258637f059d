"""The moving average (EMA) of a network's weights: what is sampled, evaluated and exported."""

from typing import Any

import keras
import tensorflow as tf

from kdiffusion.training.conditions import rebuilt


def averaged_copy(network: keras.Model) -> keras.Model:
    """A network of the same class whose weights begin as a network's, and aren't trained.

    Args:
        network: keras.Model; where a call builds its layers, with `image_shape`.
    """
    average = rebuilt(network, network.get_config())
    average.trainable = False
    return average


def update_average(average: keras.Model, network: keras.Model, ema_decay: float, step: Any) -> None:
    """Moves the averaged weights towards those of a network (Ho et al. 2020, appendix B).

    The decay warms up as min(ema_decay, (1 + step) / (10 + step)), which keeps a short run's
    average from being stuck near the start.

    Args:
        average: keras.Model, from `averaged_copy`.
        network: keras.Model.
        ema_decay: float in [0, 1).
        step: whole number, or a scalar tensor, of the steps done so far, from 1 on.
    """
    step = tf.cast(step, tf.float32)
    decay = tf.minimum(ema_decay, (1.0 + step) / (10.0 + step))
    for averaged, live in zip(average.weights, network.weights, strict=True):
        averaged.assign_add((1.0 - decay) * (live - averaged))
