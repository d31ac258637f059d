"""`fit_sampler`: a copy of the file, whose card recommends a sampler of few steps."""

import numpy as np
import pytest

from kdiffusion.__main__ import main
from kdiffusion.artifacts import load_denoiser, safetensors_loader
from kdiffusion.artifacts.released import released_models
from kdiffusion.commands.fit_sampler import COPIES


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The file that the command makes of the pretrained model `digits`, at 4 steps."""
    path = tmp_path_factory.mktemp("fitted") / "digits_4.onnx"
    main(["fit_sampler", "digits", "--steps", "4", "--seeds", "8", "--out", str(path)])
    return path


def test_all_else_in_the_file_is_as_it_was(fitted):
    before, after = load_denoiser("digits"), load_denoiser(fitted)
    assert (after.card.sampler, after.card.steps) == ("fitted", 4)
    changed = {"sampler", "steps", "timesteps", "coefficients"}
    for name, value in vars(before.card).items():
        assert name in changed or getattr(after.card, name) == value, name
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    inputs = (x, [900, 500, 3], [0, 5, 10])
    np.testing.assert_array_equal(after(*inputs), before(*inputs))


def test_a_file_of_weights_keeps_them_too(fitted, tmp_path):
    source = released_models()["digits"].with_name("denoiser_float16.safetensors")
    card = load_denoiser(fitted).card
    copy = tmp_path / "copy.safetensors"
    COPIES[copy.suffix][1](source, card, copy)
    before, after = map(safetensors_loader.read, (source, copy))
    assert after.card == card
    assert (after.network_class, after.network) == (before.network_class, before.network)
    for name, weight in before.weights.items():
        np.testing.assert_array_equal(after.weights[name], weight)
