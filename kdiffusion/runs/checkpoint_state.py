"""What a checkpoint holds of a model, and what of it must be there to draw or to go on."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from kdiffusion.training.diffusion_model import DiffusionModel

# What the exported network is made of. To go on takes all but the metrics.
DRAWN_WITH = ("step", "network", "ema_network")
# The order in which checkpoints that don't name them hold the variables of the metrics.
UNNAMED_METRICS = (
    "loss_by_timestep/total", "loss_by_timestep/count", "gradient_norm/total", "gradient_norm/count"
)  # fmt: skip
# The metrics whose name in checkpoints is another: it was theirs when the first were written.
STORED_NAMES = {"loss": "loss_by_timestep"}
# What TensorFlow adds to a variable's name.
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


class CheckpointState:
    """All that a step changes, as TensorFlow's tensor files.

    Weights, their moving average, the optimizer, float16's loss scale, the step, what the drawing
    and the weighting of timesteps have learnt, and the running means of the epoch's metrics. The
    metrics are found again by name: one that is new, or gone, makes no checkpoint unreadable.

    Args:
        model: a compiled `DiffusionModel` whose optimizer is built.
    """

    def __init__(self, model: DiffusionModel):
        # By lists of variables: Keras's LossScaleOptimizer hides the one that it wraps, and with it
        # the moments of AdamW, from TensorFlow's own tracking.
        uncertainty = model.loss_uncertainty
        self._parts = {
            "step": model.step,
            "network": model.network.weights,
            "ema_network": model.ema_network.weights,
            "optimizer": model.optimizer.variables,
            "timestep_sampling": getattr(model.timestep_sampler, "variables", []),
            "loss_uncertainty": uncertainty.variables if uncertainty else [],
        }
        self._metrics = {
            f"{STORED_NAMES.get(metric.name, metric.name)}/{variable.name}": variable
            for metric in model.metrics
            for variable in metric.variables
        }
        _, *lists = self._parts.values()
        self._variables = [model.step, *itertools.chain(*lists), *self._metrics.values()]
        self._copies: list[tf.Variable] | None = None

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics' variables, in the order in which they are written."""
        return list(self._metrics)

    def snapshot(self) -> None:
        """Copies everything within the processor's memory: the training can go on."""
        values = [variable.value for variable in self._variables]
        if self._copies is None:
            with tf.device("CPU:0"):
                self._copies = [tf.Variable(value, trainable=False) for value in values]
        else:
            for copy, value in zip(self._copies, values, strict=True):
                copy.assign(value)

    def write(self, prefix: str | os.PathLike) -> None:
        """Writes the last snapshot as tensor files, from any thread. Raises tf.errors.OpError."""
        copies = iter(self._copies or ())
        parts = {
            name: next(copies) if name == "step" else [next(copies) for _ in part]
            for name, part in self._parts.items()
        }
        tf.train.Checkpoint(**parts, metrics=list(copies)).write(prefix)

    def read(
        self, prefix: str | os.PathLike, metrics: Any | None = None, to_draw: bool = False
    ) -> set[str]:
        """Assigns what was written, once all of it is known to fit.

        Args:
            prefix: str. That of the tensor files.
            metrics: the names that `metrics` gave when they were written; None if none are known.
            to_draw: bool. Take the networks and the step alone, and ask for nothing else.

        Returns:
            set of the names of metrics that were not there: their variables stay as they are.

        Raises:
            ValueError: naming the first variable that is missing, of another kind, or too many.
            tf.errors.OpError: no such files, or none that can be read.
        """
        reader = tf.train.load_checkpoint(prefix)
        stored = _kinds_of(reader)
        parts = DRAWN_WITH if to_draw else tuple(self._parts)
        variables = {"step": self._parts["step"]}
        for part in parts[1:]:
            variables |= {f"{part}/{n}": each for n, each in enumerate(self._parts[part])}
        held = {name: kind for name, kind in stored.items() if name.split("/")[0] in parts}
        _check_same(variables, held)
        found = {} if to_draw else self._find_metrics(stored, metrics or UNNAMED_METRICS)
        variables |= {found[name]: self._metrics[name] for name in found}
        for name, variable in variables.items():
            variable.assign(reader.get_tensor(name + SUFFIX))
        return self._metrics.keys() - found.keys()

    def _find_metrics(self, stored, names):
        """{name: name in the files} of the metrics that are there, and of the same kind."""
        places = {str(name): f"metrics/{place}" for place, name in enumerate(names)}
        return {
            name: places[name]
            for name, variable in self._metrics.items()
            if name in places and stored.get(places[name]) == _kind(variable)
        }


def _kind(variable):
    return f"{tf.as_dtype(variable.dtype).name} {list(variable.shape)}"


def _kinds_of(reader):
    """{name: type and shape} of the variables in a checkpoint."""
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    return {
        name.removesuffix(SUFFIX): f"{types[name].name} {list(shapes[name])}"
        for name in shapes
        if name.endswith(SUFFIX)
    }


def _check_same(variables, held):
    needed = {name: _kind(variable) for name, variable in variables.items()}
    for name in sorted(needed.keys() | held.keys()):
        if needed.get(name) != held.get(name):
            raise ValueError(
                f"{name} must be {needed.get(name, 'absent')}. "
                f"Received: {held.get(name, 'nothing of that name')}"
            )
