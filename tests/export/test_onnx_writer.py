"""Networks whose smallest map has one row or one column are converted to what they compute."""

import dataclasses

import numpy as np
import pytest

from kdiffusion.export import export_network
from kdiffusion.networks import UNet


# Widths that divide the channels, and widths that don't.
@pytest.mark.parametrize(
    ("smallest", "channels"),
    [((1, 1), 8), ((1, 2), 8), ((2, 1), 8), ((1, 3), 8), ((1, 5), 8), ((1, 5), 10), ((1, 4), 10)],
)
def test_a_map_of_one_row_or_column_is_converted(card, tmp_path, smallest, channels):
    shape = (2 * smallest[0], 2 * smallest[1], 3)
    network, rng = UNet(shape, 3, channels, (1, 1), 1, ()), np.random.default_rng(0)
    network.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in network.get_weights()])
    own = dataclasses.replace(card, image_shape=shape)
    export_network(network, own, tmp_path, ("onnx",))  # compares it with the network
