"""`python -m kdiffusion import`: a model of diffusers becomes a file of weights, with its card."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import safetensors_loader
from kdiffusion.atomic_files import refuse_existing
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.networks import build, named_weights
from kdiffusion.terminal import import_tensorflow, working

from .folder import DiffusersModel, read
from .network import our_layout, their_name

LABEL_TENSOR = "class_embedding.weight"
UNCONDITIONAL = ("image",)  # the one class of a network without classes


def main(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    class_names: tuple[str, ...] | None = None,
    null_row: int | None = None,
    dataset: str = "unknown",
    overwrite: bool = False,
) -> None:
    """Imports a UNet2DModel of diffusers, to sample, export or train from.

    It needs neither torch nor diffusers. docs/diffusers.md lists what is supported.

    Args:
        source: folder that diffusers' save_pretrained wrote; or owner/name or owner/name@revision
            of a Hub repository, which needs huggingface_hub.
        out: folder to write denoiser.safetensors into.
        class_names: names of the classes, in label order; by default numbers.
        null_row: row of the label embedding that stands for no label, if there is one; -1 is the
            last. By default, no label is the mean of all rows, which was never trained.
        dataset: the training data set, such as cifar10, for `evaluate`.
        overwrite: replace the file of an earlier import.
    """
    refuse_existing(out / safetensors_loader.ARTIFACT, overwrite)
    with working(f"reading {source}", line=True):
        model = read(source)
        table, names = label_table(model, class_names, null_row)
        card = DenoiserCard(
            class_names=names, null_label=len(table) - 1, dataset=dataset, images_seen=0,
            ema_decay=0.0, guidance_strength=0.0, **model.fields,
        )  # fmt: skip
        network = _network(model, table)
        from kdiffusion.export.formats import export_network

        (path,) = export_network(network, card, out, ("safetensors",), overwrite).values()
    shape = "x".join(map(str, card.image_shape))
    print(f"{model.name}: {shape}, classes: {card.null_label}, predicts {card.prediction_type}.")
    print(f"Its card recommends what the pipeline does: {card.sampler}, {card.steps} steps")
    if model.without:
        print(f"except for what has no field there: {', '.join(model.without)}")
    print(f"Written: {path}")
    folder = shlex.quote(str(out))
    print(f"Export it: python -m kdiffusion export {folder}")
    start = f"--run.init-from {folder} --model.network parent"
    print(f"Train from it: python -m kdiffusion train PRESET {start}")


def label_table(
    model: DiffusersModel, class_names: Sequence[str] | None, null_row: int | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(our label table, a row for each class and one for none; the names of the classes)."""
    table = model.tensors.get(LABEL_TENSOR)
    if table is None:  # a label says nothing
        zeros = np.zeros((2, 4 * model.arguments["widths"][0]), np.float32)
        return zeros, tuple(class_names or UNCONDITIONAL)
    if null_row is None:
        null, classes = table.mean(axis=0), table
    else:
        null, classes = table[null_row], np.delete(table, null_row, axis=0)
    names = class_names or map(str, range(len(classes)))
    return np.concatenate([classes, null[None]]), tuple(names)


def _network(model, table):
    """`UNet2D` with the weights, each of which must be there, and no other."""
    import_tensorflow()
    network = build("unet2d", {**model.arguments, "num_classes": len(table) - 1})
    levels = len(model.arguments["widths"])
    variables = named_weights(network)
    names = {name: their_name(name, levels) for name in variables}
    tensors = {**model.tensors, LABEL_TENSOR: table}
    wrong = sorted(set(names.values()) ^ tensors.keys())
    if wrong:
        raise ValueError(
            f"{model.name} must hold the tensors of its network and no others. These differ: "
            f"{', '.join(wrong[:5])}"
        )
    for name, variable in variables.items():
        variable.assign(our_layout(name, tensors[names[name]]))
    return network
