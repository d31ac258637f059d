"""Presets: a command, what it trains, and what it gave. A new one is an instance and a row."""

from kdiffusion.training.config import (
    Config,
    DataConfig,
    DiffusionConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    SamplingConfig,
)

DIGITS = Config(
    preset="digits",
    data=DataConfig(name="digits"),
    model=ModelConfig(
        base_channels=32,
        channel_multipliers=(1, 2),
        blocks_per_level=1,
        attention_resolutions=(4,),
    ),
    diffusion=DiffusionConfig(schedule="cosine", prediction_type="epsilon"),
    optimizer=OptimizerConfig(
        epochs=120,
        batch_size=128,
        learning_rate=2e-3,
        warmup_steps=100,
        final_learning_rate_fraction=0.05,
        ema_decay=0.995,
    ),
    sampling=SamplingConfig(sampler="ddim", steps=50, guidance_strength=1.0),
    run=RunConfig(sample_every_epochs=30, checkpoint_every_epochs=30, log_every_steps=10),
)
"""`python train.py digits`: the handwritten digits that scikit-learn ships, 8x8."""

CIFAR10_PAPER = Config(
    preset="cifar10_paper",
    data=DataConfig(name="cifar10", horizontal_flip=False),
    model=ModelConfig(
        base_channels=64,
        channel_multipliers=(1, 2, 4, 8),
        blocks_per_level=1,
        attention_resolutions=(16, 8, 4),
    ),
    diffusion=DiffusionConfig(schedule="linear", timestep_sampling="uniform"),
    optimizer=OptimizerConfig(
        epochs=600, batch_size=128, learning_rate=1e-3, gradient_clip_norm=None
    ),
    sampling=SamplingConfig(sampler="ddpm", steps=1000, guidance_strength=3.0),
    run=RunConfig(sample_every_epochs=10),
)
"""`python train.py cifar10_paper`: the model that this project set out to reproduce."""

CIFAR10 = Config(
    preset="cifar10",
    data=DataConfig(name="cifar10", horizontal_flip=True),
    model=ModelConfig(
        base_channels=128,
        channel_multipliers=(1, 2, 2, 2),
        blocks_per_level=2,
        attention_resolutions=(16,),
        dropout=0.1,
        dtype_policy="mixed_bfloat16",
    ),
    diffusion=DiffusionConfig(schedule="linear"),
    optimizer=OptimizerConfig(
        epochs=2048, batch_size=128, learning_rate=2e-4, warmup_steps=5000, ema_decay=0.9999
    ),
    sampling=SamplingConfig(sampler="ddim", steps=100, guidance_strength=0.3),
    run=RunConfig(sample_every_epochs=10, checkpoint_every_epochs=5),
)
"""`python train.py cifar10`: DDPM's own recipe, for a GPU."""

CIFAR10_SMALL = Config(
    preset="cifar10_small",
    data=DataConfig(name="cifar10", horizontal_flip=True),
    model=ModelConfig(
        base_channels=64,
        channel_multipliers=(1, 2, 3),
        blocks_per_level=1,
        attention_resolutions=(8, 4),
        patch_size=2,
        dtype_policy="mixed_bfloat16",
    ),
    diffusion=DiffusionConfig(schedule="cosine", prediction_type="v", loss_weighting="min_snr"),
    optimizer=OptimizerConfig(
        epochs=10,
        batch_size=128,
        learning_rate=1e-3,
        warmup_steps=200,
        final_learning_rate_fraction=0.02,
        ema_decay=0.999,
    ),
    sampling=SamplingConfig(sampler="ddim", steps=50, guidance_strength=1.0),
)
"""`python train.py cifar10_small`: CIFAR-10 on two CPU cores in hours."""

STL10 = Config(
    preset="stl10",
    data=DataConfig(name="stl10", image_size=64, horizontal_flip=True),
    model=ModelConfig(
        base_channels=128,
        channel_multipliers=(1, 2, 3, 4),
        blocks_per_level=2,
        attention_resolutions=(16, 8),
        attention_heads=4,
        dropout=0.1,
        dtype_policy="mixed_bfloat16",
    ),
    diffusion=DiffusionConfig(schedule="cosine", prediction_type="v", loss_weighting="min_snr"),
    optimizer=OptimizerConfig(
        epochs=4000, batch_size=128, learning_rate=1e-4, warmup_steps=5000, ema_decay=0.9999
    ),
    sampling=SamplingConfig(sampler="ddim", steps=100, guidance_strength=1.0),
    run=RunConfig(sample_every_epochs=50, checkpoint_every_epochs=25),
)
"""`python train.py stl10`: higher resolution, 64x64 from STL-10's 5,000 labelled images."""

PRESETS = {
    preset.preset: preset for preset in (DIGITS, CIFAR10_PAPER, CIFAR10, CIFAR10_SMALL, STL10)
}
