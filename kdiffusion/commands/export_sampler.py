"""`python -m kdiffusion export_sampler RUN_DIR`: the whole sampler as one graph, loop and all."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from kdiffusion.diffusion.spacing import SPACINGS
from kdiffusion.export.source import default_folder, read_source
from kdiffusion.export.whole_sampler import (
    GRAPH_SAMPLERS,
    SAMPLER_FORMATS,
    export_sampler,
    free_paths,
)

if TYPE_CHECKING:  # A type checker can't know the tables' names.
    GraphSampler = str
    SamplerFormat = str
    SpacingName = str
else:
    GraphSampler = tyro.extras.literal_type_from_choices(list(GRAPH_SAMPLERS))
    SamplerFormat = tyro.extras.literal_type_from_choices(list(SAMPLER_FORMATS))
    SpacingName = tyro.extras.literal_type_from_choices(list(SPACINGS))


def main(
    run_dir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    sampler: GraphSampler | None = None,
    steps: int | None = None,
    spacing: SpacingName | None = None,
    timesteps: tuple[int, ...] | None = None,
    formats: tuple[SamplerFormat, ...] = tuple(SAMPLER_FORMATS),
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports a whole sampler as one graph: noise and labels in, images out.

    The sampler and its timesteps are fixed in the graph; guidance is an input.

    Args:
        run_dir: a run's folder, an imported folder, a .safetensors or .onnx file that `export`
            wrote, or a pretrained model's name.
        sampler: sampling method; by default, as the model recommends.
        steps: number of steps; by default, as the model recommends.
        spacing: how the steps are spread over the T timesteps.
        timesteps: timesteps to visit; replaces steps and spacing.
        formats: file formats to write: sampler.onnx, and the folder sampler_saved_model.
        out: folder to write into; by default RUN/export.
        overwrite: replace the files of an earlier export.
        best: export the checkpoint with the lowest validation loss, not the newest.
    """
    folder = Path(default_folder(run_dir)) if out is None else out
    free_paths(formats, folder, overwrite)  # refuse before the seconds that loading takes
    network, card = read_source(run_dir, best)
    if sampler is None and card.sampler not in GRAPH_SAMPLERS:
        print(f"The recommended {card.sampler} can't be exported as a graph; using unipc.")
    paths = export_sampler(
        network, card, folder, sampler=sampler, steps=steps, spacing=spacing,
        timesteps=timesteps, formats=formats, overwrite=overwrite,
    )  # fmt: skip
    for name, path in paths.items():
        print(f"{name:12} {path}")
