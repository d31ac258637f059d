"""The public names, each by the module that it comes from; `__init__.py` loads them late."""

from .artifacts import load_denoiser, load_sampler
from .data import load_dataset
from .data.pipeline import training_batches, validation_batches
from .diffusion.card import DenoiserCard
from .diffusion.denoiser import NetworkDenoiser
from .diffusion.editing import image_to_image, inpaint
from .diffusion.fitted_sampler import fit_sampler
from .diffusion.forward_process import NoiseSchedule
from .diffusion.interpolation import interpolate, interpolate_images
from .diffusion.inversion import invert
from .diffusion.sampling import network_evaluations, sample, sampling_steps
from .diffusion.sampling_options import SamplingOptions
from .diffusion.schedules import make_schedule
from .diffusion.upsampling import upsample
from .export.formats import export_network, export_run
from .export.whole_sampler import export_sampler
from .images import image_grid, to_model_range, to_uint8
from .networks.unet import UNet
from .runs.build import load_run
from .runs.tensorboard import SampleGrids
from .training.diffusion_model import DiffusionModel, load_model
from .training.objectives import Denoising, Trajectory

__all__ = [
    "DenoiserCard",
    "Denoising",
    "DiffusionModel",
    "NetworkDenoiser",
    "NoiseSchedule",
    "SampleGrids",
    "SamplingOptions",
    "Trajectory",
    "UNet",
    "export_network",
    "export_run",
    "export_sampler",
    "fit_sampler",
    "image_grid",
    "image_to_image",
    "inpaint",
    "interpolate",
    "interpolate_images",
    "invert",
    "load_dataset",
    "load_denoiser",
    "load_model",
    "load_run",
    "load_sampler",
    "make_schedule",
    "network_evaluations",
    "sample",
    "sampling_steps",
    "to_model_range",
    "to_uint8",
    "training_batches",
    "upsample",
    "validation_batches",
]
__version__: str
