"""`python -m kdiffusion import SOURCE --out DIR`: reads a model that diffusers saved."""

import shlex
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.terminal import working

from .reader import import_diffusers


def main(
    source: Annotated[str, tyro.conf.Positional],
    out: Path,
    class_names: tuple[str, ...] | None = None,
    null_row: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    dataset: str | None = None,
    overwrite: bool = False,
) -> None:
    """Reads a model of diffusers, to sample with, export and train on here.

    A UNet2DModel with a DDPM or DDIM scheduler, its weights in safetensors. Neither torch nor
    diffusers is needed. What isn't supported is refused by name.

    Args:
        source: folder that diffusers' save_pretrained wrote; or owner/name or owner/name@revision
            of a Hub repository, which needs huggingface_hub.
        out: folder to write denoiser.safetensors into.
        class_names: names of its classes, in label order; numbers if not given.
        null_row: row of its label table that stands for no label, if it was trained with one; -1 is
            the last.
        image_size: side in pixels, or height and width, in place of the model's own.
        dataset: what it was trained on, such as cifar10: `evaluate` compares with that; if not
            given, what the card in the folder says, or unknown.
        overwrite: replace the file of an earlier import.
    """
    with working(f"reading {source}", line=True):
        imported = import_diffusers(
            source, out, class_names=class_names, null_row=null_row, image_size=image_size,
            dataset=dataset, overwrite=overwrite,
        )  # fmt: skip
    card, model = imported.card, imported.model
    height, width, channels = card.image_shape
    labels = len(card.class_names)
    classes = "no classes" if model.num_class_embeds is None else f"{labels} classes"
    print(f"{model.name}: {height}x{width}x{channels}, {classes}, predicts {card.prediction_type}.")
    sampling = model.sampling
    options = " ".join(
        [f"--sampler {sampling.sampler}", f"--steps {sampling.steps}", *sampling.options]
    )
    print(f"Its pipeline samples as `sample` does with {options}")
    if sampling.without:
        print(f"except for what has no option here: {', '.join(sampling.without)}")
    print(f"Written: {imported.path}")
    folder = shlex.quote(str(out))
    print(f"Export it: python -m kdiffusion export {folder}")
    start = f"--run.init-from {folder} --model.network parent"
    print(f"Train from it: python -m kdiffusion train PRESET {start}")
