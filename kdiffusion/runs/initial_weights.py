"""Weights to start a run from: those of another run, or of a file; label rows by class name."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.artifacts import (
    is_artifact,
    network_description,
    onnx_loader,
    onnx_weights,
    safetensors_loader,
)
from kdiffusion.artifacts.released import as_written, download, is_download, resolved
from kdiffusion.files import sha256_of
from kdiffusion.networks.weights import LABEL_TABLE, named_weights
from kdiffusion.object_store import is_url, spelled
from kdiffusion.runs import run_directory
from kdiffusion.runs.choices import NETWORKS
from kdiffusion.runs.remote_run import to_draw

if TYPE_CHECKING:
    from kdiffusion.training.diffusion_model import DiffusionModel

# Of a repository on the Hub, the first that is there.
HOLD_WEIGHTS = ("denoiser.safetensors", "model.keras", "onnx/model.onnx")
MOST_NAMED = 8  # weights that don't fit, in an error
_NEEDED = (
    "`run.init_from` must be a run's folder, a .safetensors or .onnx file that holds its weights, "
    "or a .keras file."
)


@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """Weights that another run may start from.

    Attributes:
        path: Path. Where they were read.
        sha256: str. Of the file; of the weights themselves, in their order, where it is a run.
        weights: dict from name, as of `named_weights`, to float32 array.
        card: DenoiserCard, or None where the file has none.
        network_class: str, a row of `NETWORKS`; None where the file doesn't say.
        network: dict of the arguments of its class; None where the file doesn't say.
        name: str. What to call them, if not by the name of the folder or the file.
    """

    path: Path
    sha256: str
    weights: dict
    card: object = None
    network_class: str | None = None
    network: dict | None = None
    name: str | None = None

    def to_dict(self) -> dict[str, str]:
        """The fields of the card's `Parent`: what a run that starts from them says of it."""
        return {"name": self.name or self.path.resolve().name, "sha256": self.sha256}


def read_parent(path: str | os.PathLike) -> InitialWeights:
    """Reads the weights to start from.

    Args:
        path: path of a run's folder (its newest checkpoint is taken, the average), of a file of
            weights (`export --formats safetensors`) or the folder that `import` wrote one into, of
            an ONNX file of ours, or of a Keras file of the network; or the name of a released
            model, `hf://owner/name` on the Hub, or the URL of any of these in an object store.

    Returns:
        InitialWeights.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there has no weights to start from, or is damaged; what is on the Hub
            can't be downloaded.
    """
    if is_download(path):  # where it lies says nothing of what it is
        return dataclasses.replace(read_parent(download(path, HOLD_WEIGHTS)), name=as_written(path))
    if is_url(path):
        return dataclasses.replace(read_parent(resolved(path, to_draw)), name=spelled(path))
    path = resolved(path)
    if not path.exists():
        raise FileNotFoundError(f"{_NEEDED} Received: {path}, which does not exist")
    # Of diffusers: its config.json is no run's.
    is_foreign = path.is_dir() and (path / "model_index.json").exists()
    if not is_foreign and run_directory.holds_run(path):
        return _of_run(path)
    weights = safetensors_loader.file_at(path)
    if weights is not None:
        return _of_file(path, weights, safetensors_loader.read(weights))
    if onnx_loader.recognises(path):
        stored = onnx_weights.read(path)
        if stored is not None:
            return _of_file(path, path, stored)
    if path.suffix == ".keras":
        network = _keras_network(path)
        return InitialWeights(path, sha256_of(path), _weights(network), None, *_described(network))
    why = "which is none of them"
    if is_foreign:
        why = "a folder of diffusers, which `python -m kdiffusion import` reads first"
    if is_artifact(path):
        why = (
            "which has no list of its weights: an earlier version wrote it, or its graph was "
            "rewritten for speed. Export that run again by "
            "`python -m kdiffusion export RUN_DIR --formats onnx_float16`"
        )
    raise ValueError(f"{_NEEDED} Received: {path}, {why}")


def _of_file(path, file, stored):
    return InitialWeights(
        path, sha256_of(file), stored.weights, stored.card, stored.network_class,
        stored.network,
    )  # fmt: skip


def _of_run(path):
    from kdiffusion.runs.trained_run import load_run  # TensorFlow's seconds, where they are needed

    run = load_run(path)
    weights = _weights(run.model.ema_network)
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(f"{name}\0{value.shape}\0".encode())
        digest.update(value.tobytes())
    described = _described(run.model.ema_network)
    return InitialWeights(path, digest.hexdigest(), weights, run.card, *described)


def _described(network):
    """(row of `NETWORKS`, arguments); two of None for another class."""
    try:
        return network_description.describe(network)
    except ValueError:
        return None, None


def _keras_network(path):
    import keras

    for home in NETWORKS.values():  # Keras knows the classes of what is imported
        importlib.import_module(home.partition(":")[0])
    try:
        network = keras.models.load_model(path, compile=False)  # safe: no code of the file's runs
    except Exception as error:  # Keras's own errors share no base class
        raise ValueError(f"{path} cannot be read as a Keras file: {error}") from error
    return getattr(network, "ema_network", network)


def _weights(network):
    return {name: np.asarray(value, np.float32) for name, value in named_weights(network).items()}


def start_from(
    model: DiffusionModel, parent: InitialWeights, class_names: Sequence[str], partial: bool = False
) -> list[str]:
    """Gives a new model the weights of another, network and average alike.

    A weight is taken where name and shape agree. Of the label's table a row is taken for each class
    of the same name; a class that is new starts as the null label.

    Args:
        model: `DiffusionModel`.
        parent: `InitialWeights`.
        class_names: names of the new model's classes, in label order.
        partial: bool. Take what fits. Defaults to `False`: what doesn't fit is an error.

    Returns:
        list of str: lines that say what was taken, and what is to be known of it.

    Raises:
        ValueError: weights that don't fit, by name; with `partial`, only if none does.
    """
    targets = named_weights(model.network)
    taken, unlike = {}, []
    for name, variable in targets.items():
        shape, found = tuple(variable.shape), parent.weights.get(name)
        if found is None:
            unlike.append(f"{name} is not in it")
        elif name == LABEL_TABLE and shape[1:] == found.shape[1:]:
            rows, line = _label_rows(found, parent.card, class_names)
            taken[name] = rows
            if line:
                unlike.append(line)
        elif found.shape != shape:
            unlike.append(f"{name} is {found.shape} in it, {shape} here")
        else:
            taken[name] = found
    unlike += [f"{name} is in it alone" for name in parent.weights if name not in targets]
    taken = {name: value for name, value in taken.items() if value is not None}
    if unlike and not partial:
        own = "" if parent.network is None else ", or its own network by --model.network parent"
        raise ValueError(
            f"`run.init_from` must hold the weights of this network: {_listed(unlike)}. Take what "
            f"fits by --run.init-partial{own}. Received: {parent.path}"
        )
    if not taken:
        raise ValueError(
            f"`run.init_from` must hold a weight that fits this network, and none does. "
            f"Received: {parent.path}"
        )
    averages = named_weights(model.ema_network)
    for name, value in taken.items():
        targets[name].assign(value)
        averages[name].assign(value)
    lines = [f"Starting from {len(taken)} of {len(targets)} weights of {parent.path}."]
    if unlike:
        lines.append(f"Not taken: {_listed(unlike)}.")
    return lines + _said_of_classes(parent.card, class_names) + _said_of_process(model, parent.card)


def _label_rows(table, card, class_names):
    """(the new table or None, what is wrong with the old one or None)."""
    if card is not None:
        old = {name: row for row, name in enumerate(card.class_names)}
        null = len(table) - 1
        return table[[old.get(name, null) for name in class_names] + [null]], None
    if len(table) == len(class_names) + 1:
        return table, None
    return None, (
        f"{LABEL_TABLE} is of {len(table) - 1} classes in it, of {len(class_names)} here, and the "
        "file names none"
    )


def _said_of_classes(card, class_names):
    if card is None:
        return []
    new = [name for name in class_names if name not in card.class_names]
    return [f"New classes, which start as no class: {_listed(new)}."] if new else []


def _said_of_process(model, card):
    if card is None:
        return []
    own, lines = model.card(), []
    if own.prediction_type != card.prediction_type:
        lines.append(
            f"It predicted {card.prediction_type}; this run trains it to predict "
            f"{own.prediction_type}."
        )
    if own.alphas_cumprod != card.alphas_cumprod:
        lines.append("It was trained on another noise schedule.")
    return lines


def _listed(names):
    more = f", and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
