"""kdiffusion: class-conditional denoising diffusion, trained with Keras, sampled anywhere.

The names below are loaded when they are first used: importing kdiffusion, or sampling from an
exported file, needs neither TensorFlow nor Keras.
"""

import importlib

_HOMES = {
    "DenoiserCard": "kdiffusion.diffusion.card",
    "DiffusionModel": "kdiffusion.training",
    "NoiseSchedule": "kdiffusion.diffusion.schedules",
    "UNet": "kdiffusion.networks",
    "export_network": "kdiffusion.export",
    "export_run": "kdiffusion.export",
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

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *__all__])
