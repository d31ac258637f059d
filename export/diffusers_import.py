"""A model of diffusers becomes a file of weights of ours, with its card."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.artifacts import diffusers_folder, diffusers_network, network_description
from kdiffusion.artifacts.denoiser import ArtifactError
from kdiffusion.artifacts.diffusers_folder import DiffusersModel
from kdiffusion.checks import check_whole
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.files import refuse_existing
from kdiffusion.tensorflow_start import import_tensorflow

from . import formats, safetensors_writer

if TYPE_CHECKING:
    import keras

LABEL_TENSOR = "class_embedding.weight"
UNCONDITIONAL = ("image",)  # the one class of a network without classes


@dataclasses.dataclass(frozen=True)
class Imported:
    """What `import_diffusers` made.

    Attributes:
        path: Path. The file of weights.
        card: DenoiserCard.
        model: DiffusersModel, as it was read.
    """

    path: Path
    card: DenoiserCard
    model: DiffusersModel


def import_diffusers(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    null_row: int | None = None,
    image_size: int | Sequence[int] | None = None,
    dataset: str | None = None,
    overwrite: bool = False,
) -> Imported:
    """Reads a model that diffusers saved, and writes it as a file of weights: denoiser.safetensors.

    `export_run`, `export_diffusers` and `--run.init-from` take the folder; `load_denoiser` opens
    the file. A network without classes has one class here, "image", whose label says nothing.

    Args:
        source: path of a folder, or owner/name of a Hub repository: see
            `kdiffusion.artifacts.diffusers_folder.read`.
        out: folder to write into; made if need be.
        class_names: names of the classes, in label order; numbers unless given.
        null_row: int. The row of the label table that stands for no label, if the model was trained
            with one; -1 is the last. Without, no label is the mean of all, which was never trained.
        image_size: int or (height, width) in pixels, in place of the model's own.
        dataset: str. What it was trained on. None for what the card in the folder says, which
            `export_diffusers` leaves there, and `"unknown"` without one.
        overwrite: bool. Whether a file of an earlier import may be replaced. Defaults to `False`.

    Returns:
        Imported.

    Raises:
        FileNotFoundError: nothing at `source`.
        FileExistsError: a file of an earlier import, and `overwrite` is False.
        ArtifactError: a model that cannot be read or isn't supported: names what, and why. Nothing
            is written.
        ValueError: names or a row that its label table doesn't have.
    """
    folder = Path(out)
    refuse_existing(folder / safetensors_writer.ARTIFACT, overwrite)
    network, card, model = network_and_card(source, class_names, null_row, image_size, dataset)
    (path,) = formats.export_network(network, card, folder, ("safetensors",), overwrite).values()
    return Imported(path, card, model)


def network_and_card(
    source: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    null_row: int | None = None,
    image_size: int | Sequence[int] | None = None,
    dataset: str | None = None,
) -> tuple[keras.Model, DenoiserCard, DiffusersModel]:
    """What `import_diffusers` writes, before it is written.

    Args:
        source, class_names, null_row, image_size, dataset: as of `import_diffusers`.

    Returns:
        (keras.Model, DenoiserCard, DiffusersModel).

    Raises:
        FileNotFoundError, ArtifactError, ValueError: as `import_diffusers`.
    """
    model = diffusers_folder.read(source, image_size)
    table, card = _labels_and_card(model, class_names, null_row, dataset)
    return _network(model, table, card, source), card, model


def _labels_and_card(model, class_names, null_row, dataset):
    """(our label table or None where theirs has none, card)."""
    table, rows = model.tensors.get(LABEL_TENSOR), model.num_class_embeds
    if rows is not None and (table is None or table.ndim != 2 or len(table) != rows):
        found = "none" if table is None else table.shape
        raise ArtifactError(
            f"{model.name} must hold {LABEL_TENSOR} with a row for each of its `num_class_embeds`, "
            f"{rows}. Received: {found}"
        )
    if rows is None:  # a table too many is refused later
        if class_names is not None or null_row is not None:
            raise ValueError(
                "`class_names` and `null_row` must be left out: this model has no classes. A run "
                "that starts from it may have them. "
                f"Received: class_names={class_names}, null_row={null_row}"
            )
        return None, _card(model, UNCONDITIONAL, dataset)
    if null_row is None and model.card is not None:
        null_row = rows - 1
    if null_row is None:
        null, classes = table.mean(axis=0), table
    else:
        null_row = check_whole("null_row", null_row, -rows, rows - 1) % rows
        null, classes = table[null_row], np.delete(table, null_row, axis=0)
    if class_names is None and model.card is not None:
        class_names = model.card.class_names
    if class_names is None:
        class_names = tuple(str(label) for label in range(len(classes)))
    if len(class_names) != len(classes):
        raise ValueError(
            f"`class_names` must be {len(classes)}, one for each row of the label table that is a "
            f"class. Received: {len(class_names)}"
        )
    return np.concatenate([classes, null[None]]), _card(model, tuple(class_names), dataset)


def _card(model, class_names, dataset):
    facts = {
        "class_names": class_names,
        "null_label": len(class_names),
        "image_shape": model.arguments["image_shape"],
        "prediction_type": model.prediction_type,
        "parent": {"name": model.name, "sha256": model.sha256},
    }
    if model.card is not None:
        return _own_card(model, facts if dataset is None else {**facts, "dataset": dataset})
    return DenoiserCard(
        **facts,
        alphas_cumprod=tuple(model.schedule.alphas_cumprod.tolist()),
        dataset="unknown" if dataset is None else dataset,
        preset=model.name,
        images_seen=0,
        ema_decay=0.0,
        sampler=model.drawing.sampler,
        steps=model.drawing.steps,
        guidance_strength=0.0,
    )


def _own_card(model, facts):
    """The card that `export_diffusers` left, if it is still that of the files beside it."""
    written = model.card.schedule.alphas_cumprod
    read = model.schedule.alphas_cumprod
    if written.shape != read.shape or not np.allclose(written, read, rtol=1e-6, atol=1e-12):
        raise ArtifactError(
            f"{diffusers_folder.CARD} must have the noise schedule of the scheduler beside it; "
            "remove it if that was changed"
        )
    return dataclasses.replace(model.card, **facts)


def _network(model, table, card, source):
    """`UNet2D` with the weights, each of which must be there in its shape, and no other."""
    arguments = {**model.arguments, "num_classes": card.null_label}
    try:
        import_tensorflow()
        network = network_description.build("unet2d", arguments)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{source} describes a network that cannot be: {error}") from error
    from kdiffusion.networks.weights import LABEL_TABLE, named_weights

    variables = named_weights(network)
    levels, taken, wrong = len(arguments["widths"]), {}, []
    for name, variable in variables.items():
        theirs = diffusers_network.their_name(name, levels)
        if name == LABEL_TABLE:
            taken[theirs] = np.zeros(variable.shape, np.float32) if table is None else table
        elif theirs not in model.tensors:
            wrong.append(f"{theirs} is missing")
            continue
        else:
            taken[theirs] = model.tensors[theirs]
        if _shape(name, taken[theirs]) != tuple(variable.shape):
            there = diffusers_network.their_layout(name, np.empty(variable.shape)).shape
            wrong.append(f"{theirs} is {taken[theirs].shape}, and must be {there}")
    if table is None:
        taken.pop(LABEL_TENSOR)
    wrong += [f"{name} is one too many" for name in model.tensors if name not in taken]
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ArtifactError(
            f"{source} must hold the weights of its network: {'; '.join(wrong[:5])}{more}"
        )
    for name, variable in variables.items():
        theirs = diffusers_network.their_name(name, levels)
        if theirs in taken:
            variable.assign(diffusers_network.our_layout(name, taken[theirs]))
    return network


def _shape(name, value):
    try:
        return diffusers_network.our_layout(name, value).shape
    except ValueError:  # axes that a tensor of its dimensions doesn't have
        return None
