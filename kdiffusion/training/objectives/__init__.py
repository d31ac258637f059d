"""Objectives: what a network learns from a batch. A new one is a file here and a row.

An objective is a frozen dataclass. Its fields are its settings, of a configuration as of
`DiffusionModel(network, schedule, objective)`; the command line reads them without TensorFlow, so
each method imports what it computes with. `DiffusionModel` calls, in this order:

    start(model)                                       makes what the objective keeps in the model
    optimizer_steps(model, images, conditions, seeds)  yields each `OptimizerStep` of a batch
    measured(model, images, conditions, seeds)         yields the losses of the averaged network

It reads `updates_per_step`. A run reads `has_teacher` and `learns_null_label`, and calls
`resolved(sampling, parent)` for what the settings leave open.
"""

from kdiffusion.training.objectives.denoising import Denoising
from kdiffusion.training.objectives.trajectory import Trajectory

__all__ = ["OBJECTIVES", "Denoising", "Trajectory"]

OBJECTIVES = {kind.__name__: kind for kind in (Denoising, Trajectory)}
