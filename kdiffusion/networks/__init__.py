"""The network and its layers, in Keras alone: no file here imports TensorFlow."""

from kdiffusion.networks.unet import UNet

__all__ = ["UNet"]
