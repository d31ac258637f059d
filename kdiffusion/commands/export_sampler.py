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
    run_dir: Annotated[str, tyro.conf.Positional],
    sampler: GraphSampler | None = None,
    steps: int | None = None,
    spacing: SpacingName | None = None,
    timesteps: tuple[int, ...] | None = None,
    formats: tuple[SamplerFormat, ...] = tuple(SAMPLER_FORMATS),
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports the whole sampler of a run: noise, labels and guidance strength in, images out.

    Args:
        run_dir: run directory of a training, folder that `import` wrote, file of weights
            (.safetensors, .onnx), or the name of a pretrained model.
        sampler: a deterministic one, fixed in the graph; the model's recommendation if not given.
        steps: fixed in the graph; as recommended if not given.
        spacing: which of the T timesteps are visited.
        timesteps: the timesteps themselves, in place of steps and spacing.
        formats: what to write, sampler.onnx and a sampler_saved_model folder.
        out: folder to write into; RUN_DIR/export if not given.
        overwrite: replace the files of an earlier export.
        best: export the checkpoint of the lowest validation loss, not the newest.
    """
    folder = Path(default_folder(run_dir)) if out is None else out
    free_paths(formats, folder, overwrite)  # refuse before the seconds that loading takes
    network, card = read_source(run_dir, best)
    if sampler is None and card.sampler not in GRAPH_SAMPLERS:
        print(f"The recommended {card.sampler} fits in no graph: it is unipc in its place.")
    paths = export_sampler(
        network, card, folder, sampler=sampler, steps=steps, spacing=spacing,
        timesteps=timesteps, formats=formats, overwrite=overwrite,
    )  # fmt: skip
    for name, path in paths.items():
        print(f"{name:12} {path}")
