"""Networks of a user's own."""

import keras


def keras_inputs(image_shape):
    """The inputs of a network that is made of layers, by name."""
    numbers = {name: keras.Input((), dtype="int32", name=name) for name in ("timestep", "label")}
    return {"noisy_image": keras.Input(tuple(image_shape), name="noisy_image"), **numbers}


@keras.saving.register_keras_serializable("kdiffusion_tests")
class OwnNetwork(keras.Model):
    """A plain subclass, as train.md describes: `call` and `get_config`, and no `build`."""

    def __init__(self, image_shape=(4, 4, 3), num_classes=5, **kwargs):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        self.embed_timestep = keras.layers.Embedding(1000, 8)
        self.embed_label = keras.layers.Embedding(num_classes + 1, 8)
        self.enter = keras.layers.Conv2D(8, 3, padding="same", activation="gelu")
        self.leave = keras.layers.Conv2D(image_shape[-1], 3, padding="same")

    def call(self, inputs, training=False):
        condition = self.embed_timestep(inputs["timestep"]) + self.embed_label(inputs["label"])
        return self.leave(self.enter(inputs["noisy_image"]) + condition[:, None, None])

    def get_config(self):
        return {"image_shape": self.image_shape, "num_classes": self.num_classes}
