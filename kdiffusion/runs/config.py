"""Every setting of a training run, with its meaning, unit and default. Imports no TensorFlow.

A value that can't work is refused when the `Config` is made, before anything heavy is loaded.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import tyro
from pydantic import BeforeValidator, Field, FiniteFloat, TypeAdapter

from kdiffusion.checks import check_whole
from kdiffusion.diffusion.guidance import check_strength, within_interval
from kdiffusion.diffusion.options import RecommendedSampling
from kdiffusion.diffusion.prediction import TARGETS
from kdiffusion.diffusion.schedules import SCHEDULES, make_schedule, options_from_text
from kdiffusion.diffusion.weighting import LOSS_WEIGHTINGS, TIMESTEP_SAMPLING_NAMES
from kdiffusion.runs.choices import LEARNING_RATE_SHAPES, NETWORKS, OPTIMIZERS, STRATEGIES
from kdiffusion.runs.config_check import checked, section


def _word(value):
    """A path as text; `./digits`, a file or folder, stays apart from `digits`, a released model."""
    if not isinstance(value, str | os.PathLike):
        return value
    text = os.fspath(value)
    if "://" in text:
        return text
    path = str(Path(text))
    return f"./{path}" if text.startswith("./") and path == os.path.basename(path) else path


PARENT = "parent"  # the network of the weights to start from
IN_A_RUN = 40  # validations, grids and checkpoints, about, unless told otherwise

# Literal types of the tables' names, so that the command line lists them.
if TYPE_CHECKING:  # A type checker doesn't run the code, and so can't know the tables' names.
    ScheduleName = PredictionType = LossWeighting = TimestepSampling = str
    NetworkName = OptimizerName = LearningRateShape = StrategyName = str
else:
    names_of = tyro.extras.literal_type_from_choices
    ScheduleName = names_of(list(SCHEDULES))
    PredictionType, LossWeighting = (
        names_of(list(TARGETS)),
        names_of(list(LOSS_WEIGHTINGS)),
    )
    TimestepSampling = names_of(list(TIMESTEP_SAMPLING_NAMES))
    NetworkName = names_of([*NETWORKS, PARENT])
    OptimizerName, StrategyName = names_of(list(OPTIMIZERS)), names_of(list(STRATEGIES))
    LearningRateShape = names_of(list(LEARNING_RATE_SHAPES))
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Fraction = Annotated[FiniteFloat, Field(ge=0, le=1)]
BelowOne = Annotated[FiniteFloat, Field(ge=0, lt=1)]
PositiveFloat = Annotated[FiniteFloat, Field(gt=0)]
NotNegativeFloat = Annotated[FiniteFloat, Field(ge=0)]


@section
class DataConfig:
    """What is learnt from."""

    name: str = "digits"
    """Data set: digits, cifar10, cifar100, stl10, folder, packed, or any TFDS name with image and
    label."""
    directory: Path | None = None
    """Where it lies: the image folder of `folder` (a sub-folder for each class), what `pack` wrote,
    or the TFDS data directory (None: TFDS_DATA_DIR, or TFDS's own default)."""
    image_size: Positive | tuple[Positive, Positive] | None = None
    """Side in pixels to which images are resized, or height and width; None keeps their own."""
    validation_fraction: Annotated[FiniteFloat, Field(gt=0, lt=1)] = 0.1
    """Share of the training images held out where the data set has no test split."""
    horizontal_flip: bool | None = None
    """Mirror half of the images; None does so where a mirror image makes sense."""


@section
class ModelConfig:
    """The network, by default the U-Net (see `kdiffusion.networks.UNet`)."""

    network: NetworkName = "unet"
    """Network: a row of `NETWORKS` in kdiffusion/runs/choices.py. parent takes that of
    run.init_from, in place of all settings below but dropout and dtype_policy."""
    network_options: tuple[str, ...] = ()
    """More arguments of the network as NAME=JSON, those of its class: norm_epsilon=1e-5 for unet2d.
    One that contradicts a setting below goes before it."""
    base_channels: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    """Channels at multiplier 1."""
    channel_multipliers: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 2, 2)
    """One number per level, from the finest; each level after the first has half the resolution."""
    blocks_per_level: Positive = 2
    """Residual blocks of a level on the way down; one more on the way up."""
    attention_resolutions: tuple[Positive, ...] = (16,)
    """Heights of the maps inside the network whose blocks are followed by self-attention."""
    attention_heads: Positive = 1
    """Heads of each self-attention; must divide the channels of every level."""
    dropout: BelowOne = 0.0
    """Dropout rate in the residual blocks."""
    scale_shift: bool = False
    """Time and label scale and shift the norms (AdaGN), in place of being added to the maps."""
    patch_size: Positive = 1
    """Side in pixels of the space-to-depth stem's patches: 1 for none, 2 is 5 times cheaper."""
    dtype_policy: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Keras dtype policy of the network; sums and losses stay float32. auto takes mixed_bfloat16
    where the processor or GPU multiplies it, else float32; the run keeps what it began with."""


@section
class DiffusionConfig:
    """The noising process and the objective."""

    schedule: ScheduleName = "linear"
    """Noise schedule: a row of `SCHEDULES` in kdiffusion/diffusion/schedules.py."""
    schedule_options: tuple[str, ...] = ()
    """Parameters of the schedule as NAME=VALUE, those of its function: offset=0.02 for cosine."""
    num_timesteps: Annotated[int, Field(ge=2)] = 1000
    """Noising steps, T."""
    zero_terminal_snr: bool = False
    """Rescale the schedule to end in pure noise (Lin et al. 2024); x0 and v only."""
    prediction_type: PredictionType = "epsilon"
    """What the network predicts."""
    loss_weighting: LossWeighting = "simple"
    """Weight of each timestep in the loss: all alike, min-SNR with gamma 5, or EDM's."""
    timestep_sampling: TimestepSampling = "stratified"
    """How t is drawn: independently, one from each equal part of the schedule, noise levels by a
    log-normal density, or more often where the loss is large, counting less there."""
    log_sigma_mean: FiniteFloat = -0.4
    """Mean of ln sigma under log_normal; sigma in units of images in [-1, 1]."""
    log_sigma_std: PositiveFloat = 1.0
    """Standard deviation of ln sigma under log_normal."""
    learned_weighting: bool = False
    """Weigh each noise level by a learnt estimate of its loss too (EDM2)."""
    label_dropout: Fraction = 0.1
    """Chance that a label is replaced by the null label, for classifier-free guidance."""


@section
class OptimizerConfig:
    """The optimizer, its learning rate, and the moving average of the weights."""

    name: OptimizerName = "adamw"
    """AdamW for all weights, or Muon for the kernels of convolutions and AdamW for the rest."""
    epochs: Positive = 100
    """Passes over the training images."""
    batch_size: Positive = 128
    """Images per step, over all devices and workers together."""
    learning_rate: PositiveFloat = 2e-4
    """Peak learning rate."""
    warmup_steps: NotNegative = 0
    """Steps over which the learning rate rises from 0."""
    learning_rate_shape: LearningRateShape = "cosine"
    """After the warm-up: half a cosine, or the peak until the last cooldown_fraction of the run and
    then a straight line."""
    cooldown_fraction: Fraction = 0.3
    """Share of the run over which the learning rate of a trapezoid falls."""
    final_learning_rate_fraction: Fraction = 1.0
    """Share of the peak at which the last step ends; 1 keeps it constant."""
    beta_1: BelowOne = 0.9
    """Decay of AdamW's first moment; under Muon, of the weights that AdamW updates."""
    beta_2: BelowOne = 0.999
    """Decay of AdamW's second moment; under Muon, of the weights that AdamW updates."""
    weight_decay: NotNegativeFloat = 0.0
    """Decoupled weight decay, under Muon too."""
    gradient_clip_norm: PositiveFloat | None = 1.0
    """Largest global norm of the gradient; None for no limit."""
    gradient_accumulation: Positive = 1
    """Parts in which each device computes its share of a batch, one after another: the same
    gradient in less memory."""
    rematerialise: bool = False
    """Compute the blocks of the network again for the gradient, rather than keep what is in them:
    the same gradient in less memory and more time."""
    ema_decay: BelowOne = 0.9999
    """Decay per step of the weights' moving average, which warms up from 0.18."""


@section
class SamplingConfig(RecommendedSampling):
    """How the model is best sampled: for the previews, and written into the exported file.

    What is None becomes 20 steps of unipc with guidance strength 1.
    """

    def __post_init__(self):
        defaults = {"sampler": "unipc", "steps": 20, "guidance_strength": 1.0}
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)


@section
class ExecutionConfig:
    """How a run is carried out and watched; all but the seed, what it starts from and the axis of
    its log may change when it is resumed."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Every random number of the run derives from it."""
    init_from: Annotated[
        Annotated[str, BeforeValidator(_word)] | None, tyro.conf.arg(metavar="{None}|PATH")
    ] = None
    """Weights to start from: the folder of another run or of an import, a file that `export` wrote
    (.safetensors or .onnx), a .keras file, the name of a released model, or
    hf://owner/name on the Hub. Label rows are matched by class name."""
    init_partial: bool = False
    """Take what fits of those weights; else one that doesn't fit is refused."""
    strategy: StrategyName = "auto"
    """tf.distribute strategy; auto takes multi_worker where TF_CONFIG is set, mirrored where there
    are several GPUs, else one device. multi_worker knows its cluster from TF_CONFIG, Slurm,
    Kubernetes, MPI or SageMaker."""
    deterministic: bool = False
    """Only operations that give the same bits each time, at some cost in speed. On a GPU an exact
    resume needs it; on a CPU it is exact without."""
    steps_per_execution: Positive = 1
    """Steps in one call of the compiled function."""
    sample_every_epochs: Positive | None = None
    """Epochs between sample grids in TensorBoard and samples/; None makes about 40 in a run."""
    sample_per_label: Positive = 4
    """Images of each class in those grids (the first ten classes)."""
    log_every_steps: Positive = 50
    """Steps between TensorBoard scalars of a running epoch."""
    x_axis: Literal["steps", "images", "epochs"] = "steps"
    """What TensorBoard counts along: steps, or the images in them. epochs: epochs for grids and the
    means of an epoch, steps for the rest, as runs did before there was a choice."""
    validate_every_epochs: Positive | None = None
    """Epochs between validations; None makes about 40 in a run. The epochs that write a checkpoint,
    and the last, are validated too."""
    loss_by_class: bool = False
    """Whether TensorBoard shows the validation loss of each class too."""
    checkpoint_every_steps: Positive | None = None
    """Steps between checkpoints within an epoch; None writes them at the ends of epochs only."""
    checkpoint_every_epochs: Positive | None = None
    """Epochs between checkpoints; None makes about 40 in a run. The last epoch writes one, too."""
    checkpoints_to_keep: Positive = 3
    """Newest checkpoints that are kept; beside them stay the one of the lowest validation loss and
    the last from before the loss left its band."""


@section
class EvaluationConfig:
    """How good the images are, measured while the network is trained (see docs/evaluation.md)."""

    every_epochs: NotNegative | None = 0
    """Epochs between evaluations, counted back from the last; None makes 4 in a run, 0 none."""
    images: Annotated[int, Field(ge=100)] = 500
    """Samples for each, and held-out images on which the network is measured."""
    judge: str | None = None
    """Name or ONNX file of a judge, a classifier that reads samples; None for the data set's own.
    Without one, nothing is evaluated."""


def epochs_between(every: int | None, epochs: int) -> int:
    """Epochs from one to the next of what a run does now and then; None makes about 40 of them."""
    return every or max(1, epochs // IN_A_RUN)


def network_options(model: ModelConfig) -> dict[str, Any]:
    """The options of a network, as arguments of its class.

    Args:
        model: `ModelConfig`.

    Raises:
        ValueError: naming an option that is no NAME=JSON, that is a setting of its own, or that is
            given twice.
    """
    settings = {field.name for field in dataclasses.fields(ModelConfig)}
    options = {}
    for text in model.network_options:
        name, _, value = text.partition("=")
        name = name.strip()
        if name in settings or name in ("image_shape", "num_classes", "dtype", "name"):
            raise ValueError(
                f"`model.network_options` must not hold what is decided elsewhere, {name}. "
                f"Received: {text}"
            )
        if name in options:
            raise ValueError(f"`model.network_options` must give {name} once. Received: {text} too")
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(
                "`model.network_options` must be NAME=JSON, such as norm_epsilon=1e-5. "
                f"Received: {text}"
            ) from None
    return options


@dataclasses.dataclass(frozen=True)
class Config:
    """One training run."""

    preset: Annotated[str, tyro.conf.Suppress] = "digits"
    """The preset that these settings started from."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    diffusion: DiffusionConfig = dataclasses.field(default_factory=DiffusionConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    run: ExecutionConfig = dataclasses.field(default_factory=ExecutionConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    def __post_init__(self):
        for name, value in checked(Config, vars(self)).items():
            object.__setattr__(self, name, value)
        self._check_across_sections()

    def _check_across_sections(self):
        model, diffusion = self.model, self.diffusion
        if model.network == PARENT and self.run.init_from is None:
            raise ValueError(
                "`model.network` parent needs `run.init_from`, whose network it is. Received: None"
            )
        network_options(model)
        for multiplier in model.channel_multipliers:
            if model.base_channels * multiplier % model.attention_heads:
                raise ValueError(
                    "`model.attention_heads` must divide the channels of every level, "
                    f"{model.base_channels * multiplier}. Received: {model.attention_heads}"
                )
        if diffusion.zero_terminal_snr and diffusion.prediction_type == "epsilon":
            raise ValueError(
                "`diffusion.zero_terminal_snr` needs `diffusion.prediction_type` x0 or v: at pure "
                "noise, knowing the noise says nothing of the image. Received: epsilon"
            )
        check_whole("sampling.steps", self.sampling.steps, 1, diffusion.num_timesteps)
        check_strength(self.sampling.guidance_strength)
        schedule = make_schedule(
            diffusion.schedule,
            diffusion.num_timesteps,
            diffusion.zero_terminal_snr,
            **options_from_text(diffusion.schedule_options),
        )
        if self.sampling.guidance_interval is not None:
            within_interval(schedule.noise_levels, self.sampling.guidance_interval)

    def to_json(self) -> str:
        """The configuration as JSON text."""
        return TypeAdapter(Config).dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`. Raises ValueError naming each field that is not valid."""
        try:
            content = json.loads(text)
        except RecursionError as error:
            raise ValueError("The configuration is nested too deeply") from error
        return cls(**checked(cls, content))
