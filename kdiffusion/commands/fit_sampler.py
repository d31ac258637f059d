"""`python -m kdiffusion fit_sampler FILE`: a sampler of few steps, fitted to the model."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.artifacts import load_denoiser, onnx_loader, safetensors_loader
from kdiffusion.artifacts.integrity import UNSEALED, seal
from kdiffusion.atomic_files import staged
from kdiffusion.data.loading import load_as_split
from kdiffusion.diffusion.fitted_sampler import fit_sampler
from kdiffusion.diffusion.sampling import network_evaluations
from kdiffusion.tables import check_name
from kdiffusion.terminal import counted

from .inputs import Model, Positive
from .outputs import choose_output


def main(
    artifact: Model,
    steps: int = 8,
    seeds: Positive = 256,
    batch_size: Positive = 64,
    data: str | None = None,
    directory: Path | None = None,
    condition_directory: Path | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Fits a sampler of few steps to a model, and writes a copy that recommends it.

    It approximates the images of 100 steps. The network isn't trained.

    Args:
        steps: number of steps of the fitted sampler.
        seeds: number of images to fit to; the classes take turns.
        batch_size: images per batch.
        data: data set whose held-out images give the conditions, of a model that has more than
            classes: name or folder; by default, what the model was trained on.
        directory: folder of the images, or TFDS's data directory.
        condition_directory: folder of the images to condition on, where it was one in training.
        out: file to write, with the model's suffix; by default the model's name with the number
            of steps, such as denoiser_8_steps.onnx, in the current folder.
        overwrite: replace an existing file.
    """
    denoiser = load_denoiser(artifact)
    source: Any = denoiser.path  # a file that is opened has one
    library, write = COPIES[check_name("suffix of MODEL", source.suffix, COPIES)]
    importlib.import_module(library)  # an error comes before the work
    name = f"{source.stem}_{steps}_steps{source.suffix}"
    out = choose_output(out or name, [source.suffix], overwrite)
    conditions = None
    if denoiser.card.condition_shapes:
        dataset, _ = load_as_split(denoiser.card, data, directory, condition_directory)
        conditions = dataset.asked(np.arange(seeds) % len(dataset.validation_images))
    card = fit_sampler(denoiser, steps, seeds, conditions, batch_size=batch_size)
    with staged(out, overwrite) as path:
        write(source, card, path)
        seal(path, ())
    evaluations = counted(network_evaluations(card), "evaluation")
    print(f"{out} recommends a sampler of {evaluations} of the network.")
    print(f"Timesteps: {' '.join(map(str, card.timesteps or ()))}")


def _onnx(source, card, path):
    import onnx

    model = onnx.load(source)
    replaced = {onnx_loader.CARD_KEY: card.to_json(), onnx_loader.SEAL_KEY: UNSEALED}
    for entry in model.metadata_props:
        entry.value = replaced.get(entry.key, entry.value)
    onnx.save(model, path)


def _safetensors(source, card, path):
    import safetensors
    from safetensors.numpy import save

    with safetensors.safe_open(source, framework="numpy") as file:
        facts = json.loads(file.metadata()[safetensors_loader.METADATA_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    facts |= {safetensors_loader.CARD_ENTRY: card.to_json(), safetensors_loader.SEAL: UNSEALED}
    path.write_bytes(save(tensors, {safetensors_loader.METADATA_KEY: json.dumps(facts)}))


# By a file's suffix: the library that writes it, and the function that writes a copy of a file with
# another card, unsealed: (the file, the card, the copy).
COPIES = {".onnx": ("onnx", _onnx), ".safetensors": ("safetensors", _safetensors)}
