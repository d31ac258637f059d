import keras
import numpy as np
import pytest

from kdiffusion.networks import pointwise
from tests.networks.layer_values import MAP, random_inputs, randomise


@pytest.mark.parametrize("arguments", [{}, {"use_bias": False, "activation": "relu"}])
def test_a_pointwise_dense_layer_equals_dense(arguments):
    x = random_inputs([MAP])[0]
    ours, theirs = pointwise.PointwiseDense(6, **arguments), keras.layers.Dense(6, **arguments)
    ours(x), theirs(x)
    randomise(theirs)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
