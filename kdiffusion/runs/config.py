"""Every setting of a training run, with its meaning, unit and default. Imports no TensorFlow.

Pydantic checks the values when a `Config` is made, before anything heavy is loaded.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import tyro
from pydantic import Field, FiniteFloat, TypeAdapter
from pydantic.dataclasses import dataclass

from kdiffusion.condition_images import CONDITION_IMAGES
from kdiffusion.diffusion.guidance import EVERYWHERE
from kdiffusion.diffusion.prediction import TARGETS
from kdiffusion.diffusion.sampling_options import RecommendedSampling
from kdiffusion.diffusion.schedules import SCHEDULES
from kdiffusion.networks import NETWORKS
from kdiffusion.training.objectives import Denoising, Trajectory
from kdiffusion.training.settings import (
    STRICT,
    BelowOne,
    Fraction,
    NotNegative,
    NotNegativeFloat,
    OneOf,
    Positive,
    PositiveFloat,
    Text,
)

# What needs Keras or TensorFlow: name ► "module:function", loaded when it is chosen, so that the
# command line knows the names without either.
OPTIMIZERS = {  # each takes an `OptimizerConfig` and a learning-rate schedule
    "adamw": "kdiffusion.runs.optimizers:adamw",
    "muon": "kdiffusion.runs.optimizers:muon",
}
LEARNING_RATE_SHAPES = {  # each takes an `OptimizerConfig` and the steps of the whole run
    "cosine": "kdiffusion.runs.optimizers:cosine",
    "trapezoid": "kdiffusion.runs.optimizers:trapezoid",
}
STRATEGIES = {  # each makes a `tf.distribute.Strategy` of the devices that are there
    "auto": "kdiffusion.runs.strategy:auto",
    "one_device": "kdiffusion.runs.strategy:one_device",
    "mirrored": "kdiffusion.runs.strategy:mirrored",
    "multi_worker": "kdiffusion.runs.strategy:multi_worker",
    "tpu": "kdiffusion.runs.strategy:tpu",
}
PARENT = "parent"  # the network of the weights to start from
DTYPE_POLICIES = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """The images to learn from."""

    name: str = "digits"
    """digits, fashion_mnist, cifar10, folder, packed, or any TFDS name with images and labels."""
    directory: Path | None = None
    """Image folder, packed folder, or TFDS's data directory (None: its default)."""
    image_size: Positive | tuple[Positive, Positive] | None = None
    """Side in pixels, or height and width, to resize to."""
    validation_fraction: Annotated[FiniteFloat, Field(gt=0, lt=1)] = 0.1
    """Share of images to hold out where the data set has no test split."""
    horizontal_flip: bool | None = None
    """Mirror at random; None: the data set's default."""
    numbers: tuple[str, ...] = ()
    """Columns of an image folder's metadata.csv to condition on."""
    condition_directory: Path | None = None
    """Of an image folder, another with images of the same names, to condition on."""
    condition: Annotated[str, OneOf(CONDITION_IMAGES)] | None = None
    """An image to condition on that is made of each image."""
    condition_noise: NotNegativeFloat = 0.0
    """Largest noise on an image to condition on, such as 0.15 for an upsampler of samples."""


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """The network."""

    network: Annotated[str, OneOf([*NETWORKS, PARENT])] = "unet"
    """Architecture; parent: that of --run.init-from, with this dropout and dtype_policy."""
    network_options: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """More arguments of the network, NAME=JSON, as a parent's network may have."""
    base_channels: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    """Channels at multiplier 1."""
    channel_multipliers: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 2, 2)
    """Multiplier of each level, from the finest."""
    blocks_per_level: Positive = 2
    """Residual blocks on the way down; one more up."""
    attention_resolutions: tuple[Positive, ...] = (16,)
    """Heights of maps with self-attention."""
    attention_heads: Positive = 1
    """Heads of self-attention; must divide the channels."""
    dropout: BelowOne = 0.0
    """Dropout rate in the residual blocks."""
    scale_shift: bool = False
    """Time and label scale and shift the norms (AdaGN)."""
    patch_size: Positive = 1
    """Side of the stem's patches; 2 is 5 times cheaper."""
    dtype_policy: Annotated[str, OneOf(DTYPE_POLICIES)] = "float32"
    """Keras dtype policy; auto: mixed_bfloat16 where the hardware supports it, else float32."""


@dataclass(frozen=True, config=STRICT)
class DiffusionConfig:
    """The noising process, and what is predicted of it."""

    schedule: Annotated[str, OneOf(SCHEDULES)] = "linear"
    """Noise schedule."""
    schedule_options: tuple[str, ...] = ()
    """Parameters of the schedule, NAME=VALUE, such as offset=0.02 for cosine."""
    num_timesteps: Annotated[int, Field(ge=2)] = 1000
    """Noising steps, T."""
    zero_terminal_snr: bool = False
    """End in pure noise (Lin et al. 2024); for x0 and v."""
    prediction_type: Annotated[str, OneOf(TARGETS)] = "epsilon"
    """What the network predicts."""


@dataclass(frozen=True, config=STRICT)
class OptimizerConfig:
    """The optimizer, its learning rate, and the moving average of the weights."""

    name: Annotated[str, OneOf(OPTIMIZERS)] = "adamw"
    """AdamW for all weights, or Muon for convolutions and AdamW for the rest."""
    epochs: Positive = 100
    """Passes over the training images."""
    batch_size: Positive = 128
    """Images per step, over all devices."""
    learning_rate: PositiveFloat = 2e-4
    """Peak learning rate."""
    warmup_steps: NotNegative = 0
    """Steps over which the learning rate rises from 0."""
    learning_rate_shape: Annotated[str, OneOf(LEARNING_RATE_SHAPES)] = "cosine"
    """Half a cosine, or constant and then a linear decay."""
    cooldown_fraction: Fraction = 0.3
    """Share of the run for a trapezoid's decay."""
    final_learning_rate_fraction: Fraction = 1.0
    """Share of the peak at the end."""
    beta_1: BelowOne = 0.9
    """Decay of AdamW's first moment."""
    beta_2: BelowOne = 0.999
    """Decay of AdamW's second moment."""
    weight_decay: NotNegativeFloat = 0.0
    """Decoupled weight decay."""
    gradient_clip_norm: PositiveFloat | None = 1.0
    """Largest global norm; None: no limit."""
    gradient_accumulation: Positive = 1
    """Parts that each device splits its batch into, to save memory."""
    ema_decay: BelowOne = 0.9999
    """Decay of the weights' moving average, per step."""


@dataclass(frozen=True, config=STRICT)
class SamplingConfig(RecommendedSampling):
    """How to sample: for the previews, and as the exported file's recommendation."""

    def __post_init__(self):
        super().__post_init__()
        if self.guidance_interval == EVERYWHERE:
            object.__setattr__(self, "guidance_interval", None)
        defaults = {"sampler": "unipc", "steps": 20, "guidance_strength": 1.0}
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.timesteps is not None:
            object.__setattr__(self, "steps", len(self.timesteps))


@dataclass(frozen=True, config=STRICT)
class ExecutionConfig:
    """How to run and monitor the training."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of every random number in the run."""
    init_from: Text | None = None
    """Weights to start from: a run, an exported or imported file or folder, a pretrained model,
    or hf://owner/name. Classes are matched by name."""
    init_partial: bool = False
    """Load only the weights that fit."""
    strategy: Annotated[str, OneOf(STRATEGIES)] = "auto"
    """tf.distribute strategy; auto: multi_worker if TF_CONFIG is set, else all GPUs or the CPU."""
    deterministic: bool = False
    """Reproduce the same bits on a GPU too, more slowly."""
    sample_every_epochs: Positive | None = None
    """In epochs; None: about 40 sample grids."""
    log_every_steps: Positive = 50
    """Steps between TensorBoard scalars."""
    checkpoint_every_steps: Positive | None = None
    """In steps; None: only at ends of epochs."""
    checkpoint_every_epochs: Positive | None = None
    """In epochs; None: about 40 checkpoints."""
    checkpoints_to_keep: Positive = 3
    """Newest checkpoints to keep, besides the one with the lowest validation loss."""


@dataclass(frozen=True, config=STRICT)
class EvaluationConfig:
    """Evaluation of samples during training (docs/evaluation.md)."""

    every_epochs: NotNegative | None = 0
    """In epochs; 0: never; None: 4 times a run."""
    images: Annotated[int, Field(ge=100)] = 500
    """Images to sample, and held-out images to measure on."""
    judge: str | None = None
    """Classifier: name or ONNX file; None: the default."""


@dataclass(frozen=True, config=STRICT)
class Config:
    """One training run."""

    preset: Annotated[str, tyro.conf.Suppress] = "digits"
    """The preset that these settings started from."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    diffusion: DiffusionConfig = dataclasses.field(default_factory=DiffusionConfig)
    objective: tyro.conf.AvoidSubcommands[Denoising | Trajectory] = dataclasses.field(
        default_factory=Denoising
    )
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    run: ExecutionConfig = dataclasses.field(default_factory=ExecutionConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    def __post_init__(self):
        needs_parent = self.objective.has_teacher or self.model.network == PARENT
        if needs_parent and self.run.init_from is None:
            raise ValueError(
                "`run.init_from` must be the student's teacher, or the parent whose network is "
                "taken. Received: None"
            )

    def replace(self, **changes: Any) -> Self:
        """A copy with other settings, by name: `config.replace(**{"optimizer.epochs": 3})`."""
        sections: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            section, _, setting = name.partition(".")
            sections.setdefault(section, {})[setting] = value
        parts = {
            section: dataclasses.replace(getattr(self, section), **settings)
            for section, settings in sections.items()
        }
        return dataclasses.replace(self, **parts)

    def to_json(self) -> str:
        """The configuration as JSON text."""
        return TypeAdapter(Config).dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`. Raises ValueError for each field that is not valid."""
        return TypeAdapter(cls).validate_json(text)


def arguments_of(options: Sequence[str]) -> dict[str, Any]:
    """The arguments that settings such as `network_options` are: texts NAME=JSON."""
    pairs = (text.partition("=") for text in options)
    return {name.strip(): json.loads(value) for name, _, value in pairs}


def epochs_between(every: int | None, epochs: int) -> int:
    """Epochs from one to the next of what a run does now and then; None makes about 40 of them."""
    return every or max(1, epochs // 40)
