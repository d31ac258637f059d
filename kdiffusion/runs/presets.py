"""Presets: what each trains, and what it gave. A new one is a function and a row.

Figures were measured on two cores of an x86 machine (AVX-512 with bf16), without a GPU.
"""

import dataclasses
import inspect

from kdiffusion.runs.config import (
    Config,
    DataConfig,
    DiffusionConfig,
    EvaluationConfig,
    ExecutionConfig,
    ModelConfig,
    OptimizerConfig,
    SamplingConfig,
)
from kdiffusion.training.objectives import Denoising, Trajectory


def digits() -> Config:
    """Handwritten digits, 8x8: minutes on two cores.

    From scikit-learn. 0.7 M parameters. Two minutes, with both exports and 80 images, on idle
    cores with AMX.
    """
    return Config(
        data=DataConfig(name="digits"),
        model=ModelConfig(
            base_channels=32,
            channel_multipliers=(1, 2),
            blocks_per_level=1,
            attention_resolutions=(4,),
            dtype_policy="auto",
        ),
        # Not epsilon: at the end of this schedule x_0 is its difference from x_t times 20,000.
        diffusion=DiffusionConfig(schedule="cosine", prediction_type="v"),
        optimizer=OptimizerConfig(
            name="muon",
            epochs=40,
            batch_size=128,
            learning_rate=4e-3,
            warmup_steps=100,
            learning_rate_shape="trapezoid",
            final_learning_rate_fraction=0.05,
            ema_decay=0.99,
        ),
        sampling=SamplingConfig(sampler="dpmpp_2m_sde", steps=20, guidance_strength=0.5),
        run=ExecutionConfig(sample_every_epochs=5, checkpoint_every_epochs=10, log_every_steps=10),
    )


def digits_few_steps() -> Config:
    """A four-step student of `digits`: minutes on two cores.

    It learns in four steps what the teacher does in sixteen, guidance included (Zhou et al. 2024).
    """
    return _student(digits(), teacher="digits", epochs=12, timesteps=(999, 749, 499, 249))


def fashion_mnist() -> Config:
    """Fashion-MNIST, 28x28 clothes: 12 minutes on two CPU cores.

    By TFDS, or from its four files in `--data.directory`; the recipe of `cifar10_small`.
    """
    changes = {
        "data.name": "fashion_mnist",
        "model.channel_multipliers": (1, 2),
        "model.attention_resolutions": (7,),
        "optimizer.epochs": 2,
        "sampling.guidance_strength": 4.0,
        "sampling.guidance_interval": (0.25, 4.0),
        "evaluation.every_epochs": 0,
    }
    return cifar10_small().replace(**changes)


def cifar10_few_steps() -> Config:
    """A four-step student of `cifar10`: 42 minutes on two cores.

    50,000 images, from noise alone; the data set gives the labels. The timesteps are those that
    `fit_sampler cifar10 --steps 4` chooses.
    """
    timesteps = 999, 859, 609, 249
    return _student(cifar10_small(), teacher="cifar10", epochs=1, timesteps=timesteps)


def _student(config, teacher, epochs, timesteps):
    """The configuration of a student of four steps, whose teacher is a pretrained model."""
    changes = {
        "model.network": "parent",
        "optimizer.name": "adamw",
        "optimizer.epochs": epochs,
        "optimizer.learning_rate": 1e-4,
        "optimizer.cooldown_fraction": 0.5,
        "optimizer.final_learning_rate_fraction": 0.1,
        "optimizer.warmup_steps": 0,
        "optimizer.ema_decay": 0.999,
        "run.init_from": teacher,
        "evaluation.every_epochs": 0,
    }
    return dataclasses.replace(
        config.replace(**changes),
        objective=Trajectory(),
        sampling=SamplingConfig(sampler="ddim", timesteps=timesteps, guidance_strength=0.0),
    )


def cifar10_paper() -> Config:
    """CIFAR-10, the model this project reproduces, for a GPU.

    600 epochs, linear schedule, epsilon objective, AdamW at 1e-3, self-attention after each block
    at 16x16, 8x8 and 4x4, ancestral sampling with guidance strength 3. 43.9 M parameters; 9.1 s per
    step of 128 on two cores. Trained here for 4 steps, exported and sampled: the rest needs a GPU.
    """
    return Config(
        data=DataConfig(name="cifar10", horizontal_flip=False),
        model=ModelConfig(
            base_channels=64,
            channel_multipliers=(1, 2, 4, 8),
            blocks_per_level=1,
            attention_resolutions=(16, 8, 4),
        ),
        diffusion=DiffusionConfig(schedule="linear"),
        objective=Denoising(timestep_sampling="uniform"),
        optimizer=OptimizerConfig(
            epochs=600, batch_size=128, learning_rate=1e-3, gradient_clip_norm=None
        ),
        sampling=SamplingConfig(sampler="ddpm", steps=1000, guidance_strength=3.0),
        run=ExecutionConfig(sample_every_epochs=10),
    )


def cifar10_small() -> Config:
    """CIFAR-10 on two CPU cores, in most of a day.

    For a first try, `--optimizer.epochs 12` takes an hour. Patches of 2x2 pixels, Muon, min-SNR
    weighting. 7.4 M parameters, 0.29 G multiplications per image. Timesteps with a large loss are
    sampled more often, and count less. docs/results/recipe.md compares the alternatives.
    """
    return Config(
        data=DataConfig(name="cifar10"),
        model=ModelConfig(
            base_channels=64,
            channel_multipliers=(1, 2, 3),
            blocks_per_level=1,
            attention_resolutions=(8,),
            scale_shift=True,
            patch_size=2,
            dtype_policy="auto",
        ),
        diffusion=DiffusionConfig(schedule="cosine", prediction_type="v"),
        objective=Denoising(loss_weighting="min_snr", timestep_sampling="loss_second_moment"),
        optimizer=OptimizerConfig(
            name="muon",
            epochs=210,
            batch_size=128,
            learning_rate=2e-3,
            warmup_steps=200,
            learning_rate_shape="trapezoid",
            final_learning_rate_fraction=0.0,
            beta_2=0.99,
            ema_decay=0.999,
        ),
        sampling=SamplingConfig(
            sampler="unipc", steps=20, guidance_strength=2.5, guidance_interval=(0.25, 2.0)
        ),
        run=ExecutionConfig(checkpoint_every_epochs=1),
        evaluation=EvaluationConfig(every_epochs=10, images=2000),
    )


def cifar10_medium() -> Config:
    """CIFAR-10 on one GPU of 16 GB, in an hour or two.

    The recipe of `cifar10_small` with a larger network. 27.8 M parameters, 1.43 G multiplications
    per image, 3 M training images. A step of 256 images needs at most 10.3 GiB in float32. Not
    trained here: the time is an estimate for a GPU of 8 TFLOP/s at half its speed.
    """
    changes = {
        "model.base_channels": 128,
        "model.channel_multipliers": (1, 2, 2),
        "model.blocks_per_level": 2,
        "optimizer.epochs": 60,
        "optimizer.batch_size": 256,
        "optimizer.warmup_steps": 500,
        "optimizer.ema_decay": 0.9995,
        "run.sample_every_epochs": 5,
        "run.checkpoint_every_epochs": 5,
        "evaluation.every_epochs": None,
    }
    return cifar10_small().replace(**changes)


def cifar10_large() -> Config:
    """CIFAR-10 on a large GPU: a network as wide as DDPM's.

    The recipe of `cifar10_small` without patches, with dropout and flips. 38.4 M parameters, 51 M
    training images, half as many as in Ho et al. 2020. Not trained here: it needs a GPU. Whether
    the recipe suits so much training is untested.
    """
    changes = {
        "model.base_channels": 128,
        "model.channel_multipliers": (1, 2, 2, 2),
        "model.blocks_per_level": 2,
        "model.attention_resolutions": (16,),
        "model.dropout": 0.1,
        "model.patch_size": 1,
        "optimizer.epochs": 1024,
        "optimizer.learning_rate": 1e-3,
        "optimizer.warmup_steps": 2000,
        "optimizer.ema_decay": 0.9999,
        "run.sample_every_epochs": 10,
        "run.checkpoint_every_epochs": 5,
        "evaluation.every_epochs": None,
    }
    sampling = SamplingConfig(sampler="unipc", steps=25, guidance_strength=0.3)
    return dataclasses.replace(cifar10_small().replace(**changes), sampling=sampling)


def stl10_small() -> Config:
    """STL-10 at 64x64 on two CPU cores, in hours.

    The recipe of `cifar10_small` on patches of 4x4 pixels, so with the same 7.4 M parameters and
    0.29 G multiplications per image. docs/results shows an hour of it on enlarged CIFAR-10 images.
    """
    changes = {
        "data.name": "stl10",
        "data.image_size": 64,
        "model.patch_size": 4,
        "model.dropout": 0.1,
        "optimizer.epochs": 300,
        "run.sample_every_epochs": 25,
        "run.checkpoint_every_epochs": 25,
        "evaluation.every_epochs": 0,
    }
    return cifar10_small().replace(**changes)


def upsampler_64() -> Config:
    """Makes images twice as large, 64x64: hours on two CPU cores.

    `python -m kdiffusion train upsampler_64 --data.directory photos`

    The recipe of `cifar10_small` with a smaller network, conditioned on the image averaged to half
    its size, with noise, so that it can enlarge samples (Ho et al. 2021). 2.7 M parameters. The
    folder needs one sub-folder, for all images. Not trained here yet.
    """
    changes = {
        "data.name": "folder",
        "data.image_size": 64,
        "data.horizontal_flip": True,
        "data.validation_fraction": 0.01,
        "data.condition": "downsampled_2",
        "data.condition_noise": 0.15,
        "model.base_channels": 32,
        "model.channel_multipliers": (1, 2, 4),
        "model.attention_resolutions": (),
        "optimizer.epochs": 21,
        "sampling.steps": 8,
        "sampling.guidance_strength": 0.0,
        "sampling.guidance_interval": None,
        "evaluation.every_epochs": 0,
    }
    return cifar10_small().replace(**changes)


_MAKERS = (
    digits, digits_few_steps, fashion_mnist, cifar10_paper, cifar10_small, cifar10_few_steps,
    cifar10_medium, cifar10_large, stl10_small, upsampler_64,
)  # fmt: skip

PRESETS = {make.__name__: dataclasses.replace(make(), preset=make.__name__) for make in _MAKERS}
PRESET_DOCS = {make.__name__: inspect.getdoc(make) or "" for make in _MAKERS}
