"""One training step: sample t and noise, noise the images, predict, weigh the loss, average."""

# With the networks: a saved model of either loads where one of the two is imported.
from kdiffusion.networks.unet import UNet
from kdiffusion.training.diffusion_model import DiffusionModel

__all__ = ["DiffusionModel", "UNet"]
