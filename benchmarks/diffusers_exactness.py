"""Compares what is imported from diffusers with diffusers itself.

`python -m benchmarks.diffusers_exactness` runs all cases: each is a `UNet2DModel` with random
weights and a scheduler, saved by diffusers and imported. Its predictions must agree to 1e-5, and
each step of DDIM with 50 steps to one of 255 levels. `--write-fixtures FOLDER` writes the small
cases with what diffusers computed, and the images that its schedulers make with a small file,
which `tests/parts/diffusers/test_models.py` compares with where there is no torch.

Needs `pip install -r requirements.txt -r benchmarks/requirements-torch.txt`.
"""

import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    UNet2DModel,
)
from safetensors.numpy import load_file, save_file

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.guidance import guided
from kdiffusion.diffusion.samplers import find_sampler
from kdiffusion.diffusion.sampling import sampling_steps
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_uint8
from kdiffusion.parts.diffusers.network import OLDER_NAMES
from kdiffusion.parts.diffusers.reader import import_diffusers
from kdiffusion.parts.diffusers.scheduler import SCHEDULERS

STEPS, LARGEST, LEVELS = 50, 1e-5, 1.0
GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "denoiser.onnx"


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and a scheduler of diffusers."""

    network: dict
    scheduler: object = dataclasses.field(default_factory=DDPMScheduler)
    in_one_place: bool = False  # and the names of 2022, as google/ddpm-cifar10-32 has them
    half: bool = False  # a variant in float16
    null_row: int | None = None
    images: int = 2


def _plain(widths, attended, **more):
    """A network with attention on some levels, down and up."""
    down = ["AttnDownBlock2D" if level in attended else "DownBlock2D" for level, _ in widths]
    up = ["AttnUpBlock2D" if level in attended else "UpBlock2D" for level, _ in reversed(widths)]
    return {
        "block_out_channels": [width for _, width in widths],
        "down_block_types": down,
        "up_block_types": up,
        **more,
    }


def _levels(*widths):
    return list(enumerate(widths))


# The config.json of google/ddpm-cifar10-32.
DDPM_CIFAR10 = {
    "sample_size": 32, "attention_head_dim": None, "downsample_padding": 0, "norm_eps": 1e-6,
    "flip_sin_to_cos": False, "freq_shift": 1, "layers_per_block": 2,
}  # fmt: skip
FIXED_LARGE = {"variance_type": "fixed_large", "clip_sample": True}
TINY_NORMS = {"norm_num_groups": 2, "layers_per_block": 1}

CASES = {
    # The two that everyone has: the port of DDPM's CIFAR-10, and what the example of
    # diffusers, train_unconditional.py, makes unless told (here at 32 pixels, where it has 64).
    "ddpm-cifar10-32": Case(
        _plain(_levels(128, 256, 256, 256), {1}, **DDPM_CIFAR10),
        DDPMScheduler(**FIXED_LARGE),
        in_one_place=True,
    ),
    "train_unconditional": Case(
        _plain(_levels(128, 128, 256, 256, 512, 512), {4}, sample_size=32),
        images=1,
    ),
    "classes, one channel": Case(
        _plain(
            _levels(32, 64), {1}, sample_size=16, num_class_embeds=10, in_channels=1,
            out_channels=1,
        ),
        DDIMScheduler(beta_schedule="squaredcos_cap_v2"),
    ),
    "classes and no class, scale and shift": Case(
        _plain(
            _levels(64, 128, 192), {1, 2}, sample_size=32, num_class_embeds=11,
            resnet_time_scale_shift="scale_shift", attention_head_dim=32, layers_per_block=3,
            attn_norm_num_groups=16,
        ),
        DDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True,
                      timestep_spacing="trailing"),
        null_row=10,
    ),
    "scale and shift, no norm in the middle": Case(
        _plain(
            _levels(32, 64), {0}, sample_size=16, resnet_time_scale_shift="scale_shift",
            attention_head_dim=16, norm_num_groups=16,
        ),
        DDIMScheduler(prediction_type="sample"),
    ),
    "as UNet2DModel comes, thinner": Case(
        {"sample_size": 32, "block_out_channels": (64, 128, 192, 256)},
        DDPMScheduler(beta_schedule="sigmoid", beta_start=1e-4, beta_end=0.02),
    ),
    "no attention in the middle, trained betas, not square": Case(
        _plain(
            _levels(32, 32, 64), set(), sample_size=(16, 32), add_attention=False,
            time_embedding_dim=96, dropout=0.1,
        ),
        DDIMScheduler(
            num_train_timesteps=200, trained_betas=np.geomspace(1e-4, 0.2, 200).tolist()
        ),
    ),
    "attention on one way, no clipping": Case(
        {
            "sample_size": 16, "block_out_channels": (32, 64),
            "down_block_types": ("AttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "freq_shift": 1,
        },
        DDIMScheduler(
            clip_sample=False, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
        ),
    ),
}  # fmt: skip

# Those of the tests, of a few thousand weights.
FIXTURES = {
    "cifar10": Case(
        _plain(_levels(4, 8), {1}, **DDPM_CIFAR10 | TINY_NORMS | {"sample_size": 8}),
        DDPMScheduler(**FIXED_LARGE),
        in_one_place=True,
    ),
    "unconditional": Case(
        _plain(_levels(4, 4, 8), {2}, sample_size=8, attention_head_dim=4, **TINY_NORMS)
    ),
    "classes": Case(
        _plain(
            _levels(4, 8), {1}, sample_size=8, num_class_embeds=4, in_channels=1, out_channels=1,
            attention_head_dim=2, resnet_time_scale_shift="scale_shift", **TINY_NORMS,
        ),
        DDIMScheduler(prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2"),
        null_row=3,
    ),
    "half": Case(
        _plain(
            _levels(4, 8), set(), sample_size=(8, 16), add_attention=False, **TINY_NORMS
        ),
        DDIMScheduler(num_train_timesteps=100, trained_betas=np.linspace(1e-3, 0.1, 100).tolist()),
        half=True,
    ),
}  # fmt: skip


def save(case, folder):
    """The pipeline of a case, saved in a folder; its network, as it is opened from there."""
    torch.manual_seed(0)
    network = UNet2DModel(**case.network)
    with torch.no_grad():
        for parameter in network.parameters():  # norms come as ones and zeros, which hide swaps
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    pipeline = DDPMPipeline if isinstance(case.scheduler, DDPMScheduler) else DDIMPipeline
    variant = "fp16" if case.half else None
    if case.half:
        network = network.half()
    pipeline(network, case.scheduler).save_pretrained(folder, variant=variant)
    if case.in_one_place:
        _as_in_2022(folder)
        return UNet2DModel.from_pretrained(folder).eval()
    return UNet2DModel.from_pretrained(folder, subfolder="unet", variant=variant).float().eval()


def _as_in_2022(folder):
    for part in ("unet", "scheduler"):
        for file in list((folder / part).iterdir()):
            shutil.move(file, folder / file.name)
        (folder / part).rmdir()
    path = folder / "diffusion_pytorch_model.safetensors"
    tensors = {}
    for name, value in load_file(path).items():
        for old, new in OLDER_NAMES:
            name = name.replace(new, old)
        tensors[name] = value
    save_file(tensors, path, {"format": "pt"})


def predict(network, images, timesteps, labels):
    """What a network of diffusers predicts, on arrays `[B, H, W, C]` of ours."""
    with_labels = {}
    if network.config.num_class_embeds is not None:
        with_labels["class_labels"] = torch.tensor(labels, dtype=torch.long)
    with torch.no_grad():
        noisy = torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        predicted = network(noisy, torch.tensor(timesteps), **with_labels).sample
    return predicted.numpy().transpose(0, 2, 3, 1)


def trajectory(network, scheduler, latents, labels, spacing):
    """x after each of 50 steps of DDIM, by diffusers."""
    # By its betas: not every schedule of DDPM has a name in DDIM.
    betas = {"trained_betas": scheduler.betas.tolist(), "rescale_betas_zero_snr": False}
    scheduler = DDIMScheduler.from_config(scheduler.config, timestep_spacing=spacing, **betas)
    scheduler.set_timesteps(STEPS)
    x = torch.tensor(np.ascontiguousarray(latents.transpose(0, 3, 1, 2)), dtype=torch.float32)
    found = []
    for t in scheduler.timesteps:
        noise = predict(network, x.numpy().transpose(0, 2, 3, 1), np.full(len(x), int(t)), labels)
        noise = torch.tensor(np.ascontiguousarray(noise.transpose(0, 3, 1, 2)))
        # As here, and in GLIDE: where x0 is clipped, the noise follows.
        x = scheduler.step(noise, t, x, eta=0.0, use_clipped_model_output=True).prev_sample
        found.append(x.numpy().transpose(0, 2, 3, 1))
    return np.stack(found)


def inputs_of(case, card):
    """(noisy images, timesteps, labels that both know) of a comparison."""
    rng = np.random.default_rng(0)
    last = len(card.alphas_cumprod) - 1
    timesteps = np.array([0, last // 3, last])[-max(case.images, 2) :]
    images = rng.standard_normal((len(timesteps), *card.image_shape)).astype(np.float32)
    labels = np.arange(len(timesteps)) % len(card.class_names)
    if case.null_row is not None:
        labels[-1] = card.null_label
    return images, timesteps, labels


def in_levels(x):
    return 127.5 * np.asarray(x, np.float64)


def compare(case, folder):
    """(largest difference of a prediction, of a step in levels; spread of the images)."""
    network = save(case, folder / "theirs")
    imported = import_diffusers(folder / "theirs", folder / "ours", null_row=case.null_row)
    denoiser = load_denoiser(imported.path)
    card = imported.card
    images, timesteps, labels = inputs_of(case, card)
    expected = predict(network, images, timesteps, labels)
    deviation = np.abs(denoiser(images, timesteps, labels) - expected).max()

    seeds = list(range(case.images))
    labels = labels[-case.images :]
    latents = initial_latents(seeds, card.image_shape)
    spacing = "trailing" if card.schedule.ends_in_pure_noise else "leading"
    steps = sampling_steps(
        denoiser, labels, seeds, sampler="ddim", steps=STEPS, spacing=spacing, guidance_strength=0,
        clip=case.scheduler.config.clip_sample,
    )  # fmt: skip
    ours = np.stack([step.x for step in steps])
    theirs = trajectory(network, case.scheduler, latents, labels, spacing)
    levels = np.abs(in_levels(ours) - in_levels(theirs)).max()
    return deviation, levels, np.std(theirs[-1])


def scheduler_images(config, denoiser, labels, seeds):
    """uint8 images `[B, H, W, C]` of their scheduler around a file, as its card recommends."""
    card = denoiser.card
    network = guided(
        denoiser, card.guidance_strength, card.null_label, interval=card.guidance_interval,
        noise_levels=card.schedule.noise_levels,
    )  # fmt: skip
    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    scheduler.set_timesteps(card.steps)
    clipped = {"use_clipped_model_output": True} if isinstance(scheduler, DDIMScheduler) else {}
    x = torch.tensor(initial_latents(seeds, card.image_shape).transpose(0, 3, 1, 2).copy())
    for t in scheduler.timesteps:
        images = x.numpy().transpose(0, 2, 3, 1).astype(np.float32)
        predicted = network(images, np.full(len(seeds), int(t)), np.array(labels))
        predicted = torch.tensor(predicted.transpose(0, 3, 1, 2).copy())
        x = scheduler.step(predicted, t, x, **clipped).prev_sample
    return to_uint8(x.numpy().transpose(0, 2, 3, 1).astype(np.float32))


def scheduler_config(sampler):
    """The scheduler_config.json of a sampler, for `GOLDEN`."""
    class_name, fields = SCHEDULERS[sampler]
    clip = {"clip_sample": True, "clip_sample_range": 1.0, "thresholding": False}
    if "solver_order" in fields:  # their solvers clip by a threshold between 1 and 1
        clip = {"thresholding": True, "sample_max_value": 1.0, "rescale_betas_zero_snr": False}
    return {
        "_class_name": class_name, "num_train_timesteps": 1000,
        "beta_schedule": "squaredcos_cap_v2", "beta_start": 1e-4, "beta_end": 0.02,
        "trained_betas": None, "prediction_type": "epsilon", "timestep_spacing": "trailing",
        "steps_offset": 0, **fields, **clip,
    }  # fmt: skip


def scheduler_fixtures():
    """Each sampler without noise, around a small file: (name, config and images)."""
    denoiser = load_denoiser(GOLDEN)
    for sampler in SCHEDULERS:
        card = dataclasses.replace(denoiser.card, sampler=sampler)
        if not find_sampler(sampler).is_random():
            config = scheduler_config(sampler)
            images = scheduler_images(
                config, dataclasses.replace(denoiser, card=card), [3, 8], [0, 7]
            )
            yield sampler, {"config": config, "images": images.tolist()}


def write_fixtures(folder, names):
    """The small cases of these names, and what diffusers computes of them."""
    for name, case in FIXTURES.items():
        if name not in names:
            continue
        shutil.rmtree(folder / name, ignore_errors=True)
        network = save(case, folder / name)
        with tempfile.TemporaryDirectory() as temporary:
            card = import_diffusers(folder / name, temporary, null_row=case.null_row).card
        images, timesteps, labels = inputs_of(case, card)
        latents = initial_latents([0, 1], card.image_shape)
        drawn = trajectory(network, case.scheduler, latents, labels[-2:], "leading")
        np.savez_compressed(
            folder / f"{name}.npz",
            noisy_images=images, timesteps=timesteps, labels=labels,
            prediction=predict(network, images, timesteps, labels),
            trajectory=drawn[[0, 24, 49]].astype(np.float32), alphas_cumprod=(
                case.scheduler.alphas_cumprod.numpy()
            ),
        )  # fmt: skip
    text = json.dumps(dict(scheduler_fixtures()))
    (folder / "schedulers.json").write_text(text + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list({**CASES, **FIXTURES}))
    parser.add_argument("--write-fixtures", type=Path)
    arguments = parser.parse_args()
    if arguments.write_fixtures:
        write_fixtures(arguments.write_fixtures, arguments.only)
        return
    failed = []
    for name in arguments.only:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = compare({**CASES, **FIXTURES}[name], Path(folder))
        deviation, levels, spread = (float(each) for each in found)
        seconds = time.perf_counter() - start
        row = {
            "case": name, "network": f"{deviation:.1e}", "trajectory_levels": f"{levels:.3f}",
            "std_of_images": f"{spread:.2f}", "seconds": f"{seconds:.0f}",
        }  # fmt: skip
        print(json.dumps(row), flush=True)
        if deviation > LARGEST or levels > LEVELS:
            failed.append(name)
    if failed:
        raise SystemExit(f"not exact: {', '.join(failed)}")


if __name__ == "__main__":
    main()
