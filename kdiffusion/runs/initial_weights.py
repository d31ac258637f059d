"""Weights to start a run from: those of another run, or of a file; label rows by class name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.artifacts import safetensors_loader
from kdiffusion.artifacts.released import existing
from kdiffusion.artifacts.safetensors_loader import StoredWeights
from kdiffusion.networks import LABEL_TABLE, describe, named_weights

if TYPE_CHECKING:
    from kdiffusion.training.diffusion_model import DiffusionModel

MOST_NAMED = 8  # weights that don't fit, in an error


@dataclass(frozen=True)
class InitialWeights(StoredWeights):
    """Weights that another run may start from.

    Attributes:
        path: Path. Where they were read.
        name: str. What to call them.
    """

    path: Path
    name: str

    @property
    def sha256(self) -> str:
        """Of the weights by name, whatever file they lie in."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            value = self.weights[name]
            digest.update(f"{name}\0{value.shape}\0".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def to_dict(self) -> dict[str, str]:
        """The fields of the card's `Parent`: what a run that starts from them says of it."""
        return {"name": self.name, "sha256": self.sha256}

    def give_to(
        self, model: DiffusionModel, class_names: Sequence[str], partial: bool = False
    ) -> list[str]:
        """Gives a new model these weights, network and average alike.

        A weight is taken where name and shape agree. Of the label's table a row is taken for each
        class of the same name; a class that is new starts as the null label.

        Args:
            model: `DiffusionModel`.
            class_names: names of the new model's classes, in label order.
            partial: bool. Take what fits. Defaults to `False`: what doesn't fit is an error.

        Returns:
            list of str: lines that say what was taken, and what is to be known of it.

        Raises:
            ValueError: weights that don't fit, by name; with `partial`, only if none does. A
                teacher of other images, classes, schedule or target than its student.
        """
        if model.teacher is not None:
            _check_teacher(model, self, class_names)
        targets, averages = named_weights(model.network), named_weights(model.ema_network)
        offered = dict(self.weights)
        if LABEL_TABLE in offered:
            offered[LABEL_TABLE] = _label_rows(offered[LABEL_TABLE], self.card, class_names)
        taken = [
            name
            for name, variable in targets.items()
            if name in offered and offered[name].shape == tuple(variable.shape)
        ]
        unlike = [name for name in {**targets, **offered} if name not in taken]
        if not taken or (unlike and not partial):
            raise ValueError(
                f"`run.init_from` must hold the weights of this network; it differs in "
                f"{_listed(unlike)}. Load what fits with --run.init-partial, or use its network "
                f"with --model.network parent. Received: {self.path}"
            )
        for name in taken:
            targets[name].assign(offered[name])
            averages[name].assign(offered[name])
        if model.teacher is not None:
            model.teacher.set_weights(model.network.get_weights())
        lines = [f"Starting from {len(taken)} of {len(targets)} weights of {self.path}."]
        if unlike:
            lines.append(f"Not taken: {_listed(unlike)}.")
        new = [name for name in class_names if name not in self.card.class_names]
        if new:
            lines.append(f"New classes, which start as no class: {_listed(new)}.")
        return lines


def read_parent(path: str | os.PathLike) -> InitialWeights:
    """Reads the weights to start from.

    Args:
        path: path of a run's folder (the average of its newest checkpoint is taken), of a
            .safetensors file or a folder that holds a denoiser.safetensors; or the name of a
            pretrained model, or `hf://owner/name` on the Hub.

    Raises:
        OSError: nothing is there, or no weights to start from.
        ValueError: what is there is damaged.
    """
    found = existing(path, weights=True)
    name = os.fspath(path) if found != Path(path) else found.resolve().name
    file = safetensors_loader.file_at(found)
    if file is not None:
        stored = safetensors_loader.read(file)
    else:
        from kdiffusion.runs.build import load_run  # TensorFlow's seconds

        run = load_run(found)
        variables = named_weights(run.model.ema_network)
        weights = {key: np.asarray(each, np.float32) for key, each in variables.items()}
        stored = StoredWeights(run.card, weights, *describe(run.model.ema_network))
    return InitialWeights(**vars(stored), path=found, name=name)


def _check_teacher(model, parent, class_names):
    names, card = ("image_shape", "class_names", "prediction_type", "alphas_cumprod"), parent.card
    own = model.card(class_names=tuple(class_names))
    differing = [name for name in names if getattr(card, name) != getattr(own, name)]
    if differing:
        raise ValueError(
            f"`run.init_from` must have the {', '.join(names)} of its student. It differs in "
            f"{', '.join(differing)}. Received: {parent.path}"
        )


def _label_rows(table, card, class_names):
    """The label's table for other classes; the last row is that of no class."""
    old = {name: row for row, name in enumerate(card.class_names)}
    null = len(table) - 1
    return table[[old.get(name, null) for name in class_names] + [null]]


def _listed(names):
    more = f", and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
