"""Eight images and a compiled model on them, small enough to compute by hand."""

import numpy as np
import tensorflow as tf

from kdiffusion.training import DiffusionModel

IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 2, 2, 1)).astype("float32")
LABELS = np.arange(8, dtype="int32") % 2
BATCHES = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)


class Fixed(DiffusionModel):
    """Draws that depend on the images alone, so that batches can be compared."""

    def _draw(self, images, step, timestep_sampler=None):
        timesteps = tf.cast((images[:, 0, 0, 0] + 1.0) * 49.0, tf.int32)
        return timesteps, tf.reverse(images, axis=[1, 2]) * 0.5, images[:, 0, 1, 0] < 0.0


def compiled(network, schedule, optimizer="sgd", **arguments):
    model = arguments.pop("model_class", DiffusionModel)(network, schedule, **arguments)
    model.compile(optimizer)
    return model
