"""`python -m kdiffusion fit_sampler FILE`: a sampler of few steps, fitted to the model."""

from pathlib import Path

from kdiffusion.artifacts import load_denoiser
from kdiffusion.artifacts.new_card import check_can_copy, copy_with_card
from kdiffusion.diffusion.fitted_sampler import fit_sampler
from kdiffusion.diffusion.sampling import network_evaluations
from kdiffusion.files import staged
from kdiffusion.terminal import counted

from .inputs import Model
from .outputs import choose_output


def main(
    artifact: Model,
    steps: int = 8,
    seeds: int = 256,
    batch_size: int = 64,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Fits a sampler of few steps to a model, and writes a copy that recommends it.

    It comes near the images of many steps, under the guidance that the model recommends. The model
    itself is not trained.

    Args:
        steps: how many the sampler takes.
        seeds: images to fit to, of the classes in turn.
        batch_size: images at a time.
        out: file to write, with the suffix of the model's; if not given, its name with the number
            of steps, such as denoiser_8_steps.onnx, in this folder.
        overwrite: replace an existing file.
    """
    denoiser = load_denoiser(artifact)
    source = denoiser.path
    check_can_copy(source)
    out = choose_output(out, f"{source.stem}_{steps}_steps{source.suffix}", overwrite)
    card = fit_sampler(denoiser, steps, seeds, batch_size=batch_size)
    with staged(out, overwrite) as path:
        copy_with_card(source, card, path)
    before, after = (
        f"{counted(each.steps, 'step')} of {each.sampler} "
        f"({counted(network_evaluations(each), 'evaluation')} of the network)"
        for each in (denoiser.card, card)
    )
    print(f"{out} recommends {after}, in place of {before}.")
    print(f"Its timesteps: {' '.join(map(str, card.timesteps or ()))}")
