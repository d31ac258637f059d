"""Two logical CPU devices, to try replicas on, and a network small enough to reason about."""

import keras
import pytest
import tensorflow as tf

from kdiffusion.diffusion.schedules import make_schedule
from tests.own_network import keras_inputs

_CPU = tf.config.list_physical_devices("CPU")[0]
if len(tf.config.get_logical_device_configuration(_CPU) or []) < 2:
    tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)


@keras.saving.register_keras_serializable("kdiffusion_tests")
class ScaleNetwork(keras.Model):
    """Predicts `scale` times the noisy image, plus an entry for the label: gradients by hand."""

    def __init__(self, image_shape=(2, 2, 1), num_classes=2, dtype="float32", **kwargs):
        inputs = keras_inputs(image_shape)
        offset = keras.layers.Embedding(num_classes + 1, 1, "zeros", name="offset")
        scale = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="scale")
        outputs = scale(inputs["noisy_image"]) + offset(inputs["label"])[:, None, None, :]
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.image_shape, self.num_classes = tuple(image_shape), num_classes

    def get_config(self):
        return {"image_shape": self.image_shape, "num_classes": self.num_classes}


@pytest.fixture
def scale_network():
    return ScaleNetwork()


@pytest.fixture
def schedule():
    return make_schedule("linear", 100)
