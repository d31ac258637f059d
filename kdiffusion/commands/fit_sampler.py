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

    It approximates the images of 100 steps. The network isn't trained.

    Args:
        steps: number of steps of the fitted sampler.
        seeds: number of images to fit to; the classes take turns.
        batch_size: images per batch.
        out: file to write, with the model's suffix; by default the model's name with the number
            of steps, such as denoiser_8_steps.onnx, in the current folder.
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
    print(f"{out} recommends {after}, instead of {before}.")
    print(f"Timesteps: {' '.join(map(str, card.timesteps or ()))}")
