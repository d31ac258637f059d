"""kdiffusion: class-conditional denoising diffusion, trained with Keras, sampled anywhere.

Names are loaded when they are first used. Importing kdiffusion, or sampling from an exported file,
needs neither TensorFlow nor Keras.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers, which do not run `__getattr__`
    from kdiffusion.artifacts import load_denoiser, load_sampler
    from kdiffusion.data import load_dataset
    from kdiffusion.data.pipeline import training_batches, validation_batches
    from kdiffusion.diffusion.card import DenoiserCard
    from kdiffusion.diffusion.denoiser import NetworkDenoiser
    from kdiffusion.diffusion.editing import image_to_image, inpaint
    from kdiffusion.diffusion.fitted_sampler import fit_sampler
    from kdiffusion.diffusion.forward_process import NoiseSchedule
    from kdiffusion.diffusion.interpolation import interpolate, interpolate_images
    from kdiffusion.diffusion.inversion import invert
    from kdiffusion.diffusion.sampling import sample, sampling_steps
    from kdiffusion.diffusion.schedules import make_schedule
    from kdiffusion.export.formats import export_network, export_run
    from kdiffusion.export.whole_sampler import export_sampler
    from kdiffusion.images import image_grid, to_model_range, to_uint8
    from kdiffusion.networks.unet import UNet
    from kdiffusion.runs.build import load_run
    from kdiffusion.training.diffusion_model import DiffusionModel
    from kdiffusion.training.objectives import Denoising, Trajectory

__version__ = "0.1.0"

# Module: the names that come from it.
_NAMES = {
    "kdiffusion.artifacts": "load_denoiser load_sampler",
    "kdiffusion.data": "load_dataset",
    "kdiffusion.data.pipeline": "training_batches validation_batches",
    "kdiffusion.diffusion.card": "DenoiserCard",
    "kdiffusion.diffusion.denoiser": "NetworkDenoiser",
    "kdiffusion.diffusion.fitted_sampler": "fit_sampler",
    "kdiffusion.diffusion.forward_process": "NoiseSchedule",
    "kdiffusion.diffusion.editing": "image_to_image inpaint",
    "kdiffusion.diffusion.interpolation": "interpolate interpolate_images",
    "kdiffusion.diffusion.inversion": "invert",
    "kdiffusion.diffusion.sampling": "sample sampling_steps",
    "kdiffusion.diffusion.schedules": "make_schedule",
    "kdiffusion.export.formats": "export_network export_run",
    "kdiffusion.export.whole_sampler": "export_sampler",
    "kdiffusion.images": "image_grid to_model_range to_uint8",
    "kdiffusion.networks.unet": "UNet",
    "kdiffusion.runs.build": "load_run",
    "kdiffusion.training.diffusion_model": "DiffusionModel",
    "kdiffusion.training.objectives": "Denoising Trajectory",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "DenoiserCard", "Denoising", "DiffusionModel", "NetworkDenoiser", "NoiseSchedule",
    "Trajectory", "UNet",
    "export_network", "export_run", "export_sampler", "fit_sampler",
    "image_grid", "image_to_image", "inpaint", "interpolate",
    "interpolate_images", "invert", "load_dataset", "load_denoiser", "load_run", "load_sampler",
    "make_schedule", "sample", "sampling_steps", "to_model_range", "to_uint8",
    "training_batches", "validation_batches",
]  # fmt: skip


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(f"{_HOMES[name]}:{name}")


def __dir__():
    return sorted([*globals(), *__all__])
