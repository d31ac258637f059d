import numpy as np
import pytest

from kdiffusion.networks import attention
from tests.networks.layer_values import MAP, random_inputs, randomise


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_equals_a_second_implementation(heads, folded):
    x, size = random_inputs([MAP])[0], MAP[-1] // heads
    layer = attention.SelfAttention2D(heads)
    layer.folded = folded
    layer(x)
    randomise(layer)
    normed = np.asarray(layer.norm(x)).reshape(2, 24, 16)
    query, key, value = (
        np.asarray(dense(normed)).reshape(2, 24, heads, size)
        for dense in (layer.query, layer.key, layer.value)
    )
    attended = np.zeros((2, 24, heads, size))
    for image, place, head in np.ndindex(2, 24, heads):
        scores = key[image, :, head] @ query[image, place, head] / np.sqrt(size)
        weights = np.exp(scores - scores.max())
        attended[image, place, head] = weights / weights.sum() @ value[image, :, head]
    kernel, bias = layer.project.get_weights()
    want = x + (attended.reshape(2, 24, 16) @ kernel + bias).reshape(MAP)
    np.testing.assert_allclose(layer(x), want, atol=1e-5)
