"""Every format of a network that is conditioned on numbers and an image, and whole samplers."""

import numpy as np
import pytest

from kdiffusion import sample
from kdiffusion.artifacts import load_denoiser, load_sampler
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.export.formats import FORMATS, export_network
from kdiffusion.export.whole_sampler import SAMPLER_FORMATS, export_sampler
from kdiffusion.networks.unet import UNet
from kdiffusion.training.diffusion_model import DiffusionModel
from tests.networks.layer_values import randomise

NUMBERS = {"weight": (400.0, 150.0), "slant": (0.0, 7.0)}


@pytest.fixture(scope="module", params=[0, 3], ids=["no classes", "three classes"])
def model(request):
    network = UNet((8, 8, 1), request.param, 8, (1,), 1, (), numbers=NUMBERS, image_channels=2)
    randomise(network)
    return DiffusionModel(network, make_schedule("cosine", 100), prediction_type="v")


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """Format ► path, of networks and of whole samplers; each was compared as it was written.

    Every format is there without classes; tests/conformance has them all with classes alone.
    """
    folder, average, card = tmp_path_factory.mktemp("exported"), model.ema_network, model.card()
    few = ["onnx"] if card.class_names else []
    paths = export_network(average, card, folder, few or list(FORMATS))
    samplers = export_sampler(average, card, folder, steps=3, formats=few or list(SAMPLER_FORMATS))
    return paths | {f"sampler {name}": path for name, path in samplers.items()}


@pytest.fixture(scope="module")
def asked(model):
    """Conditions of two images."""
    rng = np.random.default_rng(0)
    return {
        "numbers": {"weight": [300.0, 550.0], "slant": -4.0},
        "images": rng.uniform(-1, 1, (2, 8, 8, 2)),
        "guidance_strength": 1.5, "steps": 3, "sampler": "unipc", "progress": False,
    }  # fmt: skip


def test_each_format_samples_by_the_conditions(model, files, asked):
    expected = model.sample([0, 0], **asked)
    for name in FORMATS.keys() & files.keys():
        denoiser = load_denoiser(files[name], trust=True)
        assert denoiser.card == model.card()
        np.testing.assert_allclose(
            sample(denoiser, [0, 0], **asked), expected, atol=30 * FORMATS[name].tolerance,
            err_msg=name,
        )  # fmt: skip


def test_whole_samplers_take_the_conditions(model, files, asked):
    expected, numbers = model.sample([0, 0], **asked), np.array([[300, -4], [550, -4]])
    for name in [name for name in files if name.startswith("sampler")]:
        draw, card = load_sampler(files[name], trust=True)
        noise = initial_latents([0, 1], card.image_shape)
        images = draw(noise, [0, 0], 1.5, numbers=numbers, image=asked["images"])
        np.testing.assert_allclose(images, expected, atol=1e-2, err_msg=name)
