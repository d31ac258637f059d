"""`python -m kdiffusion export` and `export_sampler`: a network, or a whole sampler, as files."""

import shlex
import time
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import tyro

from kdiffusion.diffusion.sampling_options import SpacingName
from kdiffusion.export import whole_sampler
from kdiffusion.export.formats import DEFAULT_FORMATS, FORMATS, export_run
from kdiffusion.export.source import default_folder, read_source
from kdiffusion.terminal import working

# A type checker doesn't look into the tables.
FormatName: TypeAlias = Literal[tuple(FORMATS)]  # pyright: ignore[reportInvalidTypeForm]
GraphSampler: TypeAlias = Literal[whole_sampler.GRAPH_SAMPLERS]  # pyright: ignore[reportInvalidTypeForm]
SamplerFormat: TypeAlias = Literal[tuple(whole_sampler.SAMPLER_FORMATS)]  # pyright: ignore[reportInvalidTypeForm]
Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


def export(
    run_dir: Run,
    formats: tuple[FormatName, ...] = DEFAULT_FORMATS,
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports the averaged network (EMA) of a run's newest checkpoint.

    Each file is compared with the network, and kept only if it agrees.

    Args:
        run_dir: a run's folder, an imported folder, a .safetensors file that `export` wrote, a
            pretrained model's name, or hf://owner/name.
        formats: file formats to write.
        out: folder to write into; by default RUN/export, or the folder of the file. Required for
            a model on the Hub.
        overwrite: replace the files of an earlier export, whatever their formats.
        best: export the checkpoint with the lowest validation loss, not the newest.
    """
    start = time.perf_counter()
    with working("exporting, and checking the exported files", line=True):
        paths = export_run(run_dir, formats, out, overwrite, best)
    for name, path in paths.items():
        print(f"{name:12} {path}")
    print(f"Exported and compared with the network in {time.perf_counter() - start:.1f} s.")
    first = shlex.quote(str(next(iter(paths.values()))))
    print(f"Sample from it: python -m kdiffusion sample {first}")


def export_sampler(
    run_dir: Run,
    sampler: GraphSampler | None = None,
    steps: int | None = None,
    spacing: SpacingName | None = None,
    timesteps: tuple[int, ...] | None = None,
    formats: tuple[SamplerFormat, ...] = tuple(whole_sampler.SAMPLER_FORMATS),
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports a whole sampler as one graph: noise and labels in, images out.

    The sampler and its timesteps are fixed in the graph; guidance is an input.

    Args:
        run_dir: a run's folder, an imported folder, a .safetensors file that `export` wrote, or a
            pretrained model's name.
        sampler: sampling method; by default, as the model recommends.
        steps: number of steps; by default, as the model recommends.
        spacing: how the steps are spread over the T timesteps.
        timesteps: timesteps to visit; replaces steps and spacing.
        formats: file formats to write: sampler.onnx, and the folder sampler_saved_model.
        out: folder to write into; by default RUN/export.
        overwrite: replace the files of an earlier export.
        best: export the checkpoint with the lowest validation loss, not the newest.
    """
    folder = default_folder(run_dir) if out is None else out
    network, card = read_source(run_dir, best)
    if sampler is None and card.sampler not in whole_sampler.GRAPH_SAMPLERS:
        print(f"The recommended {card.sampler} can't be exported as a graph; using unipc.")
    paths = whole_sampler.export_sampler(
        network, card, folder, sampler=sampler, steps=steps, spacing=spacing,
        timesteps=timesteps, formats=formats, overwrite=overwrite,
    )  # fmt: skip
    for name, path in paths.items():
        print(f"{name:12} {path}")
