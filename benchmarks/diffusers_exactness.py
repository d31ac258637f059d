"""Compares what is imported from diffusers with diffusers itself.

    pip install -r requirements.txt -r benchmarks/requirements-torch.txt
    python -m benchmarks.diffusers_exactness FOLDER_OF_A_PIPELINE

Predictions should agree to 1e-5, and images after DDIM steps to one of 255 levels. Without a folder
it compares the examples of tests/parts/diffusers, which `save_pretrained` wrote with random
weights. `--record` writes what diffusers computes of them, for tests where there is no torch.
"""

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Annotated

import diffusers
import numpy as np
import torch
import tyro
from diffusers import DDIMScheduler, UNet2DModel

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.guidance import guided, within_interval
from kdiffusion.diffusion.sampling import sampling_steps
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_uint8
from kdiffusion.parts.diffusers import reader

TESTS = Path(__file__).parents[1] / "tests"
EXAMPLES = TESTS / "parts" / "diffusers" / "examples"
STEPS, COMPARED = 50, [0, 24, 49]  # steps of DDIM, and the ones whose images are compared


def open_with_diffusers(folder):
    """(UNet2DModel, scheduler) of a folder, of the pipeline or with all in one place."""
    network_part, scheduler_part = folder / "unet", folder / "scheduler"
    if not network_part.is_dir():
        network_part = scheduler_part = folder
    variant = "fp16" if any(network_part.glob("*.fp16.safetensors")) else None
    network = UNet2DModel.from_pretrained(network_part, variant=variant).float().eval()
    config = json.loads((scheduler_part / "scheduler_config.json").read_text(encoding="utf-8"))
    return network, getattr(diffusers, config["_class_name"]).from_config(config)


def to_torch(images):
    """`[B, H, W, C]` array ► `[B, C, H, W]` tensor."""
    return torch.tensor(images.transpose(0, 3, 1, 2).astype(np.float32))


def to_numpy(tensor):
    """`[B, C, H, W]` tensor ► `[B, H, W, C]` array."""
    return tensor.numpy().transpose(0, 2, 3, 1)


@torch.no_grad()
def predict(network, x, timesteps, labels):
    """What a network of diffusers predicts of `[B, C, H, W]`."""
    if network.config.num_class_embeds is None:
        return network(x, torch.tensor(timesteps)).sample
    return network(x, torch.tensor(timesteps), class_labels=torch.tensor(labels)).sample


def compute(folder):
    """What diffusers computes of a model, and of what: {name: array}."""
    network, scheduler = open_with_diffusers(folder)
    height, width = np.broadcast_to(network.config.sample_size, 2)
    shape = (int(height), int(width), network.config.in_channels)
    last = scheduler.config.num_train_timesteps - 1
    images = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    timesteps = np.array([last // 3, last])
    labels = np.array([0, (network.config.num_class_embeds or 1) - 1])
    # By its betas: not every schedule of DDPM has a name in DDIM.
    betas = {"trained_betas": scheduler.betas.tolist(), "rescale_betas_zero_snr": False}
    ddim = DDIMScheduler.from_config(scheduler.config, timestep_spacing="leading", **betas)
    ddim.set_timesteps(STEPS)
    x, trajectory = to_torch(initial_latents([0, 1], shape)), []
    for t in ddim.timesteps:
        noise = predict(network, x, [int(t)] * 2, labels)
        # As here, and in GLIDE: where x0 is clipped, the noise follows.
        x = ddim.step(noise, t, x, eta=0.0, use_clipped_model_output=True).prev_sample
        trajectory.append(to_numpy(x))
    return {
        "noisy_images": images, "timesteps": timesteps, "labels": labels,
        "prediction": to_numpy(predict(network, to_torch(images), timesteps, labels)),
        "trajectory": np.stack(trajectory)[COMPARED],
        "alphas_cumprod": scheduler.alphas_cumprod.numpy(),
    }  # fmt: skip


def differences(folder, theirs):
    """The largest differences from diffusers: of a prediction, and of an image in levels."""
    with tempfile.TemporaryDirectory() as temporary:
        # The last row of a label table for no class: then a label is its row.
        null_row = -1 if theirs["labels"].any() else None
        reader.main(str(folder), Path(temporary), null_row=null_row)
        denoiser = load_denoiser(Path(temporary, "denoiser.safetensors"))
    prediction = denoiser(theirs["noisy_images"], theirs["timesteps"], theirs["labels"])
    steps = sampling_steps(
        denoiser, theirs["labels"], [0, 1], sampler="ddim", steps=STEPS, spacing="leading",
        guidance_strength=0,
    )  # fmt: skip
    trajectory = np.stack([step.x for step in steps])[COMPARED]
    of_images = 127.5 * np.abs(trajectory - theirs["trajectory"])
    return np.abs(prediction - theirs["prediction"]).max(), of_images.max()


def scheduler_images(config, denoiser):
    """uint8 images `[2, H, W, C]` by a scheduler of diffusers around one of our files."""
    card = denoiser.card
    guides_at = within_interval(card.schedule.noise_levels, card.guidance_interval)
    network = guided(denoiser, card.guidance_strength, card.null_label, guides_at)
    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    scheduler.set_timesteps(card.steps)
    clipped = {"use_clipped_model_output": True} if isinstance(scheduler, DDIMScheduler) else {}
    x = torch.tensor(initial_latents([0, 7], card.image_shape).transpose(0, 3, 1, 2))
    for t in scheduler.timesteps:
        predicted = network(to_numpy(x).astype(np.float32), np.full(2, int(t)), np.array([3, 8]))
        x = scheduler.step(to_torch(predicted), t, x, **clipped).prev_sample
    return to_uint8(to_numpy(x).astype(np.float32))


def main(
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional] = (), record: bool = False
) -> None:
    """Prints for each folder how far its import is from diffusers.

    Args:
        folders: what `save_pretrained` wrote; the examples of the tests if none is given.
        record: write what diffusers computes beside the folders, and the images of its schedulers.
    """
    for folder in folders or sorted(path for path in EXAMPLES.iterdir() if path.is_dir()):
        theirs = compute(folder)
        of_prediction, of_images = differences(folder, theirs)
        print(f"{folder.name}: prediction {of_prediction:.1e}, images {of_images:.3f} levels")
        if record:
            np.savez_compressed(folder.with_name(f"{folder.name}.npz"), **theirs)
    if record:
        denoiser = load_denoiser(TESTS / "golden" / "denoiser.onnx")
        path = EXAMPLES / "schedulers.json"
        rows = json.loads(path.read_text(encoding="utf-8"))
        for sampler, row in rows.items():
            card = dataclasses.replace(denoiser.card, sampler=sampler)
            network = dataclasses.replace(denoiser, card=card)
            row["images"] = scheduler_images(row["config"], network).tolist()
        path.write_text(json.dumps(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
