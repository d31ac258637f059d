"""`python -m export.sampler RUN_DIR`: the whole sampler as one graph, loop and all."""

import contextlib
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.diffusion.noise import initial_latents
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.spacing import SPACINGS
from kdiffusion.files import refuse_existing, staged
from kdiffusion.images import to_uint8

from . import sampler_onnx, sampler_saved_model
from .command_line import run_command
from .denoiser import ArtefactError
from .sampler_tables import GRAPH_SAMPLERS, sampler_tables
from .seal import seal

SAMPLER_FORMATS = {"onnx": sampler_onnx, "saved_model": sampler_saved_model}

GraphSampler = tyro.extras.literal_type_from_choices(list(GRAPH_SAMPLERS))
SamplerFormat = tyro.extras.literal_type_from_choices(list(SAMPLER_FORMATS))
SpacingName = tyro.extras.literal_type_from_choices(list(SPACINGS))


def export_sampler(
    network, card, folder, *, sampler="dpmpp_2m", steps=20, spacing="trailing",
    formats=("onnx", "saved_model"), overwrite=False,
):  # fmt: skip
    """Exports noise ► images as one graph, kept only if it draws what the NumPy loop draws.

    Args:
        network: keras.Model on the contract's inputs, such as `DiffusionModel.ema_network`.
        card: DenoiserCard.
        folder: path to write into; made if need be.
        sampler: str. One of `GRAPH_SAMPLERS`. Defaults to `"dpmpp_2m"`.
        steps: int. Fixed in the graph. Defaults to `20`.
        spacing: str. A key of `SPACINGS`. Defaults to `"trailing"`.
        formats: keys of `SAMPLER_FORMATS`. Defaults to both.
        overwrite: bool. Whether existing files may be replaced. Defaults to `False`.

    Returns:
        dict from each format's name to the Path written.

    Raises:
        ValueError: options that can't be.
        FileExistsError: an existing file, and `overwrite` is False.
        ArtefactError: a graph whose images differ from the loop's.
    """
    tables = sampler_tables(card, sampler, steps, spacing)
    paths = _free_paths(formats, Path(folder), overwrite)
    from .inference import inference_network
    from .source import ExportSource

    source = ExportSource(inference_network(network), card)
    with contextlib.ExitStack() as stack:
        for name, path in paths.items():
            temporary = stack.enter_context(staged(path, overwrite, SAMPLER_FORMATS[name].ours))
            SAMPLER_FORMATS[name].write(source, tables, temporary)
            seal(temporary, SAMPLER_FORMATS[name].PARTS)
            draw, _ = SAMPLER_FORMATS[name].load(temporary)
            _check_images(source, draw, path, sampler=sampler, steps=steps, spacing=spacing)
    return paths


def _free_paths(formats, folder, overwrite):
    paths = {name: folder / SAMPLER_FORMATS[name].ARTEFACT for name in formats}
    for name, path in paths.items():
        refuse_existing(path, overwrite, SAMPLER_FORMATS[name].ours)
    return paths


def _check_images(source, draw, path, **options):
    """Refuses a graph whose images are not the loop's, to one of 255 levels."""
    card, seeds, strength = source.card, [0, 1, 2], 1.5
    labels = np.array([0, card.null_label - 1, card.null_label], np.int32)

    def live(noisy_images, timesteps, labels):
        inputs = {"noisy_image": noisy_images, "timestep": timesteps, "label": labels}
        return np.asarray(source.network(inputs, training=False))

    expected = sample(
        live, card, labels, seeds, guidance_strength=strength, progress=False, **options
    )
    received = draw(initial_latents(seeds, card.image_shape), labels, strength)
    difference = np.abs(to_uint8(received).astype(int) - to_uint8(expected)).max()
    if not np.all(np.isfinite(received)) or difference > 1:
        raise ArtefactError(
            f"{path.name} must draw what the sampling loop draws, to one of 255 levels. Received: "
            f"a largest difference of {difference}; the file was not kept"
        )


def main(
    run_dir: Annotated[Path, tyro.conf.Positional],
    sampler: GraphSampler = "dpmpp_2m",
    steps: int = 20,
    spacing: SpacingName = "trailing",
    formats: tuple[SamplerFormat, ...] = ("onnx", "saved_model"),
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
):
    """Exports the whole sampler of a run: noise, labels and guidance strength in, images out.

    Args:
        run_dir: run directory of a training.
        sampler: a deterministic one, fixed in the graph.
        steps: fixed in the graph.
        spacing: which of the T timesteps are visited.
        formats: what to write, sampler.onnx and a sampler_saved_model folder.
        out: folder to write into; RUN_DIR/export if not given.
        overwrite: replace the files of an earlier export.
        best: export the checkpoint of the lowest validation loss, not the newest.
    """
    folder = run_dir / "export" if out is None else out
    _free_paths(formats, folder, overwrite)  # refuse before the seconds that loading takes
    from kdiffusion.training import load_run

    run = load_run(run_dir, best)
    paths = export_sampler(
        run.model.ema_network, run.card, folder, sampler=sampler, steps=steps, spacing=spacing,
        formats=formats, overwrite=overwrite,
    )  # fmt: skip
    for name, path in paths.items():
        print(f"{name:12} {path}")


if __name__ == "__main__":
    run_command(main, __spec__.name)
