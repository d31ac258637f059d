"""96x96 pixels and 4,000 timesteps, in every format."""

import numpy as np
import pytest

from kdiffusion import DiffusionModel, UNet, load_denoiser, make_schedule, sample
from kdiffusion.export import FORMATS, export_network

pytestmark = pytest.mark.slow
DRAWN = {"labels": [2], "seeds": [4], "steps": 2, "progress": False}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Format name ► its path, and what the live network draws."""
    network = UNet(
        (96, 96, 3), 10, base_channels=8, channel_multipliers=(1, 2), blocks_per_level=1,
        attention_resolutions=(48,), dtype="float32",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.1, each.shape) for each in network.get_weights()])
    model = DiffusionModel(network, make_schedule("cosine", 4000))
    paths = export_network(network, model.card(), tmp_path_factory.mktemp("large"), tuple(FORMATS))
    model.ema_network.set_weights(network.get_weights())
    return paths, model.sample(**DRAWN)


@pytest.mark.parametrize("name", FORMATS)
def test_it_draws_what_the_network_draws(exported, name):
    paths, expected = exported
    denoiser = load_denoiser(paths[name], trust=True)
    assert len(denoiser.card.alphas_cumprod) == 4000
    assert expected.shape == (1, 96, 96, 3)
    rounded = "float16" in name or "int8" in name
    np.testing.assert_allclose(
        sample(denoiser, **DRAWN), expected, rtol=0, atol=2 / 255 if rounded else 1e-4
    )
    assert np.ptp(expected) > 0.5
