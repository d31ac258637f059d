"""One small network, exported once a session to every format."""

import dataclasses
import functools

import numpy as np
import pytest

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.export.formats import FORMATS, export_network
from kdiffusion.export.whole_sampler import SAMPLER_FORMATS, export_sampler

IMAGE_SHAPE = (8, 12, 3)  # height and width differ, so that a swap shows
TIMESTEPS = (99, 71, 40, 22, 3)  # that no recommendation or spacing says


@pytest.fixture(scope="session")
def card(make_card):
    """A card of the network's shape, on a linear schedule of 100 timesteps."""
    return make_card(
        make_schedule("linear", 100), image_shape=IMAGE_SHAPE, class_names=("cat", "dog", "ape"),
        images_seen=1234, ema_decay=0.999, steps=5, guidance_strength=1.5,
        guidance_interval=(0.2, 2.0),
    )  # fmt: skip


@pytest.fixture(scope="session")
def network():
    """A U-Net with dropout and a mixed-precision policy."""
    return _random_unet(16, (1, 2), 1, (4,), dropout=0.5, dtype="mixed_bfloat16")


@pytest.fixture(scope="session")
def small_network():
    """The least of a U-Net, for what does not depend on the network: it is converted sooner."""
    return _random_unet(8, (1,), 1, ())


def _random_unet(*arguments, **options):
    """A new network predicts zero, because its last convolution does; random weights don't."""
    from kdiffusion.networks.unet import UNet

    unet, rng = UNet(IMAGE_SHAPE, 3, *arguments, **options), np.random.default_rng(0)
    unet.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in unet.get_weights()])
    return unet


@pytest.fixture(scope="session")
def exported(network, card, tmp_path_factory):
    """Format name ► path. Do not change the files; copy them."""
    return export_network(network, card, tmp_path_factory.mktemp("exported"), tuple(FORMATS))


@pytest.fixture(scope="session")
def served(card):
    """A card with coefficients too, so that it serves every sampler."""
    rows = np.random.default_rng(0).normal(0, 0.1, (5, 4)) * np.tri(5, 4, 1)
    return dataclasses.replace(card, steps=5, timesteps=TIMESTEPS, coefficients=rows)


@pytest.fixture(scope="session")
def whole_samplers(small_network, served, tmp_path_factory):
    """`whole_samplers(sampler, clip, *formats)`: format name ► path, at `TIMESTEPS`."""

    @functools.cache
    def exported(sampler, clip, *formats):
        return export_sampler(
            small_network, dataclasses.replace(served, clip=clip),
            tmp_path_factory.mktemp(sampler), sampler=sampler, timesteps=TIMESTEPS,
            formats=formats or [*SAMPLER_FORMATS],
        )  # fmt: skip

    return exported


@pytest.fixture(scope="session")
def one_sampler(whole_samplers):
    """Format ► path of one sampler, for what no sampler changes."""
    return whole_samplers("unipc", True)


@pytest.fixture(scope="session")
def denoisers(exported):
    """Format name ► NetworkDenoiser."""
    return {name: load_denoiser(path, trust=True) for name, path in exported.items()}


@pytest.fixture(params=FORMATS)
def format_name(request):
    """Each row of FORMATS in turn."""
    return request.param
