"""Maps of one row or one column are converted to what the network computes."""

import dataclasses

import keras
import numpy as np
import pytest

from kdiffusion.export.formats import export_network
from kdiffusion.networks.embeddings import ConditionEmbedding
from kdiffusion.networks.layers import GroupNorm
from tests.own_network import keras_inputs


# Widths that divide the channels, and widths that don't.
@pytest.mark.parametrize(
    ("rows", "columns", "channels"),
    [(1, 1, 8), (1, 2, 8), (2, 1, 8), (1, 3, 8), (1, 5, 10)],
)
def test_a_map_of_one_row_or_column_is_converted(card, tmp_path, rows, columns, channels):
    shape = (rows, columns, 3)
    inputs = keras_inputs(shape)
    noisy_image, timestep, label = inputs.values()
    shift = ConditionEmbedding(3, 8, 8, channels)(timestep, label)
    x = keras.layers.Conv2D(channels, 3, padding="same")(noisy_image)
    x = keras.activations.silu(GroupNorm()(x, shift))
    prediction = keras.layers.Conv2D(3, 3, padding="same")(x)
    network, rng = keras.Model(inputs, prediction), np.random.default_rng(0)
    network.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in network.get_weights()])
    own = dataclasses.replace(card, image_shape=shape)
    export_network(network, own, tmp_path, ("onnx",))  # compares it with the network
