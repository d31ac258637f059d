"""One training step: what an objective draws and loses, gradients, optimizer, average.

The objectives can be made and checked without TensorFlow; `DiffusionModel`, which needs it, is
loaded when it is first used.
"""

from typing import TYPE_CHECKING

from kdiffusion.training.objectives import Denoising, Trajectory

if TYPE_CHECKING:
    from kdiffusion.training.diffusion_model import DiffusionModel

__all__ = ["Denoising", "DiffusionModel", "Trajectory"]


def __getattr__(name):
    if name == "DiffusionModel":
        from kdiffusion.training.diffusion_model import DiffusionModel

        return DiffusionModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
