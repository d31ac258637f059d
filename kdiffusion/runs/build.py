"""The compiled model of a configuration: its network, dtype policy, schedule and optimizer."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from kdiffusion.artifacts.network_description import NETWORKS
from kdiffusion.diffusion.schedules import make_schedule, options_from_text
from kdiffusion.diffusion.spacing import timestep_pairs
from kdiffusion.runs.choices import LEARNING_RATE_SHAPES, OPTIMIZERS, STUDENTS, find
from kdiffusion.runs.config import NO_STUDENT
from kdiffusion.training import DiffusionModel

if TYPE_CHECKING:
    from kdiffusion.runs.config import Config


def build_model(
    config: Config, image_shape: tuple[int, int, int], num_classes: int, total_steps: int
) -> DiffusionModel:
    """The compiled `DiffusionModel` of a configuration.

    Args:
        config: `Config`.
        image_shape: (height, width, channels).
        num_classes: int.
        total_steps: int. Steps of the whole run, over which the learning rate falls.
    """
    keras.utils.set_random_seed(config.run.seed)  # for the initial weights and dropout
    model, diffusion, optimizer = config.model, config.diffusion, config.optimizer
    network = _network(model, image_shape, num_classes)
    schedule = _schedule(diffusion)
    kind = DiffusionModel
    if config.student.method != NO_STUDENT:
        kind = _student(config, schedule)
    diffusion_model = kind(
        network,
        schedule,
        prediction_type=diffusion.prediction_type,
        loss_weighting=diffusion.loss_weighting,
        timestep_sampling=diffusion.timestep_sampling,
        log_sigma=(diffusion.log_sigma_mean, diffusion.log_sigma_std),
        learned_weighting=diffusion.learned_weighting,
        label_dropout=diffusion.label_dropout,
        ema_decay=optimizer.ema_decay,
        gradient_clip_norm=optimizer.gradient_clip_norm,
        gradient_accumulation=optimizer.gradient_accumulation,
        rematerialise=optimizer.rematerialise,
        loss_by_class=config.run.loss_by_class,
        seed=config.run.seed,
        # All parts have names of their own. Keras's would count what the process made before, and
        # names order the graph's nodes and so its sums: a resumed run would end otherwise.
        name="diffusion_model",
    )
    shape = find(optimizer.learning_rate_shape, LEARNING_RATE_SHAPES)
    learning_rate = shape(optimizer, total_steps * diffusion_model.updates_per_step)
    diffusion_model.compile(
        find(optimizer.name, OPTIMIZERS)(optimizer, learning_rate),
        steps_per_execution=config.run.steps_per_execution,
    )
    return diffusion_model


def _schedule(diffusion):
    options = options_from_text(diffusion.schedule_options)
    return make_schedule(
        diffusion.schedule, diffusion.num_timesteps, diffusion.zero_terminal_snr, **options
    )


def _student(config, schedule):
    """The class of a student, with the arguments that are its own."""
    kind = find(config.student.method, STUDENTS)
    pairs = timestep_pairs(schedule, config.sampling.steps)
    own = {**vars(config.student), "timesteps": config.sampling.timesteps or [t for t, _ in pairs]}
    return functools.partial(kind, **{name: own[name] for name in kind.settings})


def _network(model, image_shape, num_classes):
    fields = {**vars(model)}
    name, policy = fields.pop("network"), fields.pop("dtype_policy")
    del fields["network_options"]
    options, network_class = model.own_arguments, find(name, NETWORKS)
    # Of another network than UNet the settings need a translation.
    make = getattr(network_class, "from_settings", network_class)
    try:
        return make(image_shape, num_classes, **fields, **options, dtype=resolve_policy(policy))
    except TypeError as error:
        if not options:
            raise
        raise ValueError(
            f"`model.network_options` must be arguments of {name}: {error}. "
            f"Received: {', '.join(model.network_options)}"
        ) from error


# Flags of a CPU that does (x86: AVX-512 or AMX; Arm: `bf16`).
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
# NVIDIA's first generation that does is Ampere.
BFLOAT16_COMPUTE_CAPABILITY = (8, 0)


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
    return all(_gpu_has_bfloat16(each) for each in details) if gpus else cpu_has_bfloat16()


def cpu_has_bfloat16(description: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the system's description of the CPU names bfloat16 arithmetic.

    Args:
        description: Path. Without such a file, as on macOS, the answer is False.
    """
    try:
        return not BFLOAT16_FLAGS.isdisjoint(description.read_text().split())
    except OSError:
        return False


def _gpu_has_bfloat16(details):
    # One that names no compute capability is not NVIDIA's: those that TensorFlow runs on have it.
    return details.get("compute_capability", BFLOAT16_COMPUTE_CAPABILITY) >= (
        BFLOAT16_COMPUTE_CAPABILITY
    )
