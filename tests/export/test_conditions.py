"""Every format of a network that is conditioned on numbers and an image, and whole samplers."""

import pytest

from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.export.formats import FORMATS, export_network
from kdiffusion.export.whole_sampler import SAMPLER_FORMATS, export_sampler
from kdiffusion.networks.unet import UNet
from kdiffusion.training.diffusion_model import DiffusionModel
from tests.networks.layer_values import randomise

NUMBERS = {"weight": (400.0, 150.0), "slant": (0.0, 7.0)}


@pytest.mark.parametrize("classes", [0, 3])
def test_each_file_computes_what_the_network_does(classes, tmp_path):
    """An export compares its files itself, with conditions and without.

    Every format is there without classes; tests/conformance has them all with classes alone.
    """
    network = UNet((8, 8, 1), classes, 8, (1,), 1, (), numbers=NUMBERS, image_channels=2)
    randomise(network)
    model = DiffusionModel(network, make_schedule("cosine", 100), prediction_type="v")
    few = ["onnx"] if classes else []
    export_network(model.ema_network, model.card(), tmp_path, few or list(FORMATS))
    samplers = few or list(SAMPLER_FORMATS)
    export_sampler(model.ema_network, model.card(), tmp_path, steps=3, formats=samplers)
