"""kdiffusion: class-conditional denoising diffusion, trained with Keras, sampled anywhere.

The names below are loaded when they are first used: importing kdiffusion, or sampling from an
exported file, needs neither TensorFlow nor Keras.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers, which do not run `__getattr__`
    from kdiffusion.artifacts import load_denoiser
    from kdiffusion.data import load_dataset, training_batches, validation_batches
    from kdiffusion.diffusion.card import DenoiserCard
    from kdiffusion.diffusion.sampling import sample, sampling_steps
    from kdiffusion.diffusion.schedules import NoiseSchedule, make_schedule
    from kdiffusion.export import (
        export_diffusers,
        export_network,
        export_run,
        import_diffusers,
    )
    from kdiffusion.images import image_grid, to_model_range, to_uint8
    from kdiffusion.networks import UNet
    from kdiffusion.training import DiffusionModel

_HOMES = {
    "DenoiserCard": "kdiffusion.diffusion.card",
    "DiffusionModel": "kdiffusion.training",
    "NoiseSchedule": "kdiffusion.diffusion.schedules",
    "UNet": "kdiffusion.networks",
    "export_diffusers": "kdiffusion.export",
    "export_network": "kdiffusion.export",
    "export_run": "kdiffusion.export",
    "import_diffusers": "kdiffusion.export",
    "image_grid": "kdiffusion.images",
    "load_dataset": "kdiffusion.data",
    "load_denoiser": "kdiffusion.artifacts",
    "make_schedule": "kdiffusion.diffusion.schedules",
    "sample": "kdiffusion.diffusion.sampling",
    "sampling_steps": "kdiffusion.diffusion.sampling",
    "to_model_range": "kdiffusion.images",
    "to_uint8": "kdiffusion.images",
    "training_batches": "kdiffusion.data",
    "validation_batches": "kdiffusion.data",
}

__all__ = [
    "DenoiserCard",
    "DiffusionModel",
    "NoiseSchedule",
    "UNet",
    "export_diffusers",
    "export_network",
    "export_run",
    "image_grid",
    "import_diffusers",
    "load_dataset",
    "load_denoiser",
    "make_schedule",
    "sample",
    "sampling_steps",
    "to_model_range",
    "to_uint8",
    "training_batches",
    "validation_batches",
]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *__all__])
