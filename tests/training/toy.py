"""Eight images and a model on them, small enough to compute by hand."""

import dataclasses

import numpy as np
import tensorflow as tf

from kdiffusion.training.diffusion_model import DiffusionModel
from kdiffusion.training.objectives import Denoising
from kdiffusion.training.step_seeds import step_seeds

IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 2, 2, 1)).astype("float32")
LABELS = np.arange(8, dtype="int32") % 2
BATCHES = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)


class Fixed(Denoising):
    """Draws that depend on the images alone, so that batches can be compared."""

    def draw(self, images, seeds, timestep_sampler):
        timesteps = tf.cast((images[:, 0, 0, 0] + 1.0) * 49.0, tf.int32)
        return timesteps, tf.reverse(images, axis=[1, 2]) * 0.5, images[:, 0, 1, 0] < 0.0


def model_of(network, schedule, objective=Denoising, model_class=DiffusionModel, **arguments):
    """A model; the arguments that are fields of its objective go there."""
    names = {field.name for field in dataclasses.fields(objective)} & set(arguments)
    settings = {name: arguments.pop(name) for name in names}
    return model_class(network, schedule, objective(**settings), **arguments)


def compiled(network, schedule, optimizer="sgd", **arguments):
    model = model_of(network, schedule, **arguments)
    model.compile(optimizer)
    return model


def draw(model, images, step, timestep_sampler=None):
    """What a model draws for a batch at a step: timesteps, noise, whose label is dropped."""
    sampler = timestep_sampler or model.timestep_sampler
    return model.objective.draw(images, step_seeds(model.seed, step), sampler)
