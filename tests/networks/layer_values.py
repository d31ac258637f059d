"""What the tests of the layers and networks give to them."""

import numpy as np

MAP = (2, 4, 6, 16)
CONDITION = (2, 12)


def random_inputs(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=shape).astype("float32")
        if len(shape) > 1
        else rng.integers(0, 3, size=shape).astype("int32")
        for shape in shapes
    ]


def network_inputs(image_shape):
    """A batch of three images, timesteps and labels."""
    rng = np.random.default_rng(0)
    return {
        "noisy_image": rng.normal(size=(3, *image_shape)).astype("float32"),
        "timestep": rng.integers(0, 1000, 3).astype("int32"),
        "label": np.arange(3, dtype="int32"),
    }


def randomise(layer, seed=1):
    """Zero-initialised weights hide what a layer does."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape, scale=0.3) for w in layer.get_weights()])
