"""The compiled model of a configuration, new or with the weights of its run's checkpoint."""

import os
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import keras

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.networks import NETWORKS
from kdiffusion.runs.checkpoints import Checkpoints
from kdiffusion.runs.config import LEARNING_RATE_SHAPES, OPTIMIZERS, Config, arguments_of
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.training.diffusion_model import DiffusionModel


def build_model(
    config: Config,
    image_shape: tuple[int, int, int],
    num_classes: int,
    total_steps: int,
    **conditions: Any,
) -> DiffusionModel:
    """The compiled `DiffusionModel` of a configuration.

    Args:
        config: `Config`.
        image_shape: (height, width, channels).
        num_classes: int.
        total_steps: int. Steps of the whole run, over which the learning rate falls.
        **conditions: arguments of the network, `RunDirectory.network_conditions`.
    """
    keras.utils.set_random_seed(config.run.seed)  # for the initial weights and dropout
    model, diffusion, optimizer = config.model, config.diffusion, config.optimizer
    network = _network(model, image_shape, num_classes, conditions)
    options = arguments_of(diffusion.schedule_options)
    schedule = make_schedule(
        diffusion.schedule, diffusion.num_timesteps, diffusion.zero_terminal_snr, **options
    )
    diffusion_model = DiffusionModel(
        network,
        schedule,
        config.objective,
        prediction_type=diffusion.prediction_type,
        ema_decay=optimizer.ema_decay,
        gradient_clip_norm=optimizer.gradient_clip_norm,
        gradient_accumulation=optimizer.gradient_accumulation,
        seed=config.run.seed,
        # All parts have names of their own. Keras's would count what the process made before, and
        # names order the graph's nodes and so its sums: a resumed run would end otherwise.
        name="diffusion_model",
    )
    shape = resolve_name(LEARNING_RATE_SHAPES[optimizer.learning_rate_shape])
    learning_rate = shape(optimizer, total_steps * config.objective.updates_per_step)
    diffusion_model.compile(resolve_name(OPTIMIZERS[optimizer.name])(optimizer, learning_rate))
    return diffusion_model


@dataclass(frozen=True)
class Run:
    """A run in memory: its `model` and its `directory`.

    `is_chief` says whether this process writes what all workers share. `first_step` is the step
    from which this process trained it.
    """

    model: DiffusionModel
    directory: RunDirectory
    is_chief: bool = True
    first_step: int = 0

    @property
    def card(self) -> DenoiserCard:
        """The card that the model's exported file will have."""
        return self.directory.card(self.model)


def load_run(run_dir: str | os.PathLike, best: bool = False) -> Run:
    """Loads a run's model from its newest checkpoint, for export and evaluation.

    Args:
        run_dir: path of the run's folder.
        best: bool. Load the checkpoint with the lowest validation loss instead.

    Raises:
        FileNotFoundError: no run there, or no complete checkpoint.
    """
    directory = RunDirectory.read(run_dir)
    model = build_model(
        directory.config, directory.image_shape, len(directory.class_names), total_steps=1,
        **directory.network_conditions,
    )  # fmt: skip
    Checkpoints(model, directory.checkpoints).restore(best, to_sample=True)
    return Run(model, directory)


def _network(model, image_shape, num_classes, conditions):
    fields = {**vars(model), **conditions}
    network_class = resolve_name(NETWORKS[fields.pop("network")])
    options = arguments_of(fields.pop("network_options"))
    dtype = resolve_policy(fields.pop("dtype_policy"))
    # Of another network than UNet the settings need a translation.
    make = getattr(network_class, "from_settings", network_class)
    return make(image_shape, num_classes, **fields, **options, dtype=dtype)


# Flags of a CPU that does (x86: AVX-512 or AMX; Arm: `bf16`).
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
AMPERE = (8, 0)  # the compute capability of NVIDIA's first generation that does


def resolve_policy(name: str) -> str:
    """A Keras dtype policy by name; `"auto"` depends on the devices.

    It is mixed_bfloat16 on a TPU, and on GPUs or a CPU that multiply bfloat16, else float32. On a
    CPU with AVX2 alone a step of the digits took 8 times the CPU time in bfloat16.
    """
    if name != "auto":
        return name
    return "mixed_bfloat16" if _devices_have_bfloat16() else "float32"


def _devices_have_bfloat16():
    import tensorflow as tf

    if tf.config.list_logical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    if not gpus:
        return cpu_has_bfloat16()
    # One that names no compute capability is not NVIDIA's: those that TensorFlow runs on have it.
    return all(each.get("compute_capability", AMPERE) >= AMPERE for each in details)


def cpu_has_bfloat16(description: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the system's description of the CPU names bfloat16 arithmetic.

    Args:
        description: Path. Without such a file, as on macOS, the answer is False.
    """
    try:
        return not BFLOAT16_FLAGS.isdisjoint(description.read_text().split())
    except OSError:
        return False
