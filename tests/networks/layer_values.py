"""What the tests of the layers and networks give to them."""

import keras
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


def is_the_same_when_loaded(layer_class, arguments, shapes):
    """A layer serialised and back computes the same."""
    layer, inputs = layer_class(**arguments, name="of_mine"), random_inputs(shapes)
    config = layer.get_config()
    assert {name: config[name] for name in (*arguments, "name")} == {**arguments, "name": "of_mine"}
    layer(*inputs)
    randomise(layer)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(*inputs), layer(*inputs))


def stays_close_in_bfloat16(layer_class, arguments, shapes):
    inputs = random_inputs(shapes)
    exact, half = layer_class(**arguments), layer_class(**arguments, dtype="mixed_bfloat16")
    exact(*inputs), half(*inputs)
    randomise(exact)
    half.set_weights(exact.get_weights())
    result = half(*inputs)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    assert all(variable.dtype == "float32" for variable in half.trainable_variables)
    want = np.asarray(exact(*inputs))
    error = np.abs(np.asarray(result, "float32") - want).max()
    assert error < 0.05 * np.abs(want).max() + 0.05


EVERY_LAYER = (is_the_same_when_loaded, stays_close_in_bfloat16)
