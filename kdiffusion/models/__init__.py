"""The network and its training step, in Keras."""

from kdiffusion.models.diffusion_model import DiffusionModel
from kdiffusion.models.unet import UNet

__all__ = ["DiffusionModel", "UNet"]
