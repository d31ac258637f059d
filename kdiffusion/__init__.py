"""kdiffusion: class-conditional denoising diffusion, trained with Keras, sampled anywhere.

The names below are loaded when they are first used: importing kdiffusion, or sampling from an
exported file, needs neither TensorFlow nor Keras.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers, which do not run `__getattr__`
    from kdiffusion.artifacts import load_denoiser
    from kdiffusion.artifacts.whole_sampler import load_sampler
    from kdiffusion.data import load_dataset, training_batches, validation_batches
    from kdiffusion.diffusion.card import DenoiserCard
    from kdiffusion.diffusion.denoiser import NetworkDenoiser
    from kdiffusion.diffusion.image_to_image import image_to_image
    from kdiffusion.diffusion.inpainting import inpaint
    from kdiffusion.diffusion.interpolation import interpolate, interpolate_images
    from kdiffusion.diffusion.inversion import invert
    from kdiffusion.diffusion.likelihood import variational_bound
    from kdiffusion.diffusion.sampling import sample, sampling_steps
    from kdiffusion.diffusion.schedules import NoiseSchedule, make_schedule
    from kdiffusion.export import export_diffusers, export_network, export_run, import_diffusers
    from kdiffusion.export.whole_sampler import export_sampler
    from kdiffusion.images import image_grid, to_model_range, to_uint8
    from kdiffusion.networks import UNet
    from kdiffusion.runs import load_run
    from kdiffusion.training import DiffusionModel

_HOMES = {
    "DenoiserCard": "kdiffusion.diffusion.card",
    "DiffusionModel": "kdiffusion.training",
    "NetworkDenoiser": "kdiffusion.diffusion.denoiser",
    "NoiseSchedule": "kdiffusion.diffusion.schedules",
    "UNet": "kdiffusion.networks",
    "export_diffusers": "kdiffusion.export",
    "export_network": "kdiffusion.export",
    "export_run": "kdiffusion.export",
    "export_sampler": "kdiffusion.export.whole_sampler",
    "image_grid": "kdiffusion.images",
    "image_to_image": "kdiffusion.diffusion.image_to_image",
    "import_diffusers": "kdiffusion.export",
    "inpaint": "kdiffusion.diffusion.inpainting",
    "interpolate": "kdiffusion.diffusion.interpolation",
    "interpolate_images": "kdiffusion.diffusion.interpolation",
    "invert": "kdiffusion.diffusion.inversion",
    "load_dataset": "kdiffusion.data",
    "load_denoiser": "kdiffusion.artifacts",
    "load_run": "kdiffusion.runs",
    "load_sampler": "kdiffusion.artifacts.whole_sampler",
    "make_schedule": "kdiffusion.diffusion.schedules",
    "sample": "kdiffusion.diffusion.sampling",
    "sampling_steps": "kdiffusion.diffusion.sampling",
    "to_model_range": "kdiffusion.images",
    "to_uint8": "kdiffusion.images",
    "training_batches": "kdiffusion.data",
    "validation_batches": "kdiffusion.data",
    "variational_bound": "kdiffusion.diffusion.likelihood",
}

__all__ = [
    "DenoiserCard",
    "DiffusionModel",
    "NetworkDenoiser",
    "NoiseSchedule",
    "UNet",
    "export_diffusers",
    "export_network",
    "export_run",
    "export_sampler",
    "image_grid",
    "image_to_image",
    "import_diffusers",
    "inpaint",
    "interpolate",
    "interpolate_images",
    "invert",
    "load_dataset",
    "load_denoiser",
    "load_run",
    "load_sampler",
    "make_schedule",
    "sample",
    "sampling_steps",
    "to_model_range",
    "to_uint8",
    "training_batches",
    "validation_batches",
    "variational_bound",
]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *__all__])
