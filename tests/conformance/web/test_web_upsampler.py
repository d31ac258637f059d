"""The page of a model with a second one that makes its images larger."""

import numpy as np
import pytest
from onnx import helper

from kdiffusion import load_denoiser, sample, upsample
from kdiffusion.artifacts.integrity import ArtifactError
from kdiffusion.commands.sample import NOISE_ON_SAMPLES
from kdiffusion.parts.web import write_site
from tests.conformance.web.canvas import address_of, assert_pixels, finished
from tests.onnx_models import write_upsampler

pytestmark = [pytest.mark.slow, pytest.mark.browser]

LABEL, SEED = 1, 7


@pytest.fixture
def upsampler(make_card, tmp_path):
    """Path of one whose prediction at a pixel depends on x_t and the image there."""
    nodes = [
        helper.make_node("Mul", ["noisy_image", "half"], ["halved"]),
        helper.make_node("Add", ["halved", "image"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["prediction"]),
    ]
    card, path = make_card(steps=4, sampler="unipc"), tmp_path / "upsampler.onnx"
    return write_upsampler(path, card, (16, 24, 3), nodes, {"half": 0.5})


def test_a_switch_shows_what_python_makes_of_an_image(
    toy, upsampler, tmp_path, find_program, serve, visit
):
    find_program("npm", "npm, which comes with Node.js")
    write_site(toy, tmp_path / "site", upsampler=upsampler)
    page = visit(f"{serve(tmp_path / 'site')}?label={LABEL}&seed={SEED}")
    small = sample(load_denoiser(toy), [LABEL], [SEED], progress=False)
    assert_pixels(page, small[0])
    page.get_by_label("24 × 16").check()
    finished(page)
    large = upsample(
        load_denoiser(upsampler), small, [SEED], condition_noise=NOISE_ON_SAMPLES, progress=False
    )
    assert np.ptp(large) > 1
    assert_pixels(page, large[0])
    page.locator("#film").evaluate("film => { film.value -= 1; film.oninput(); }")
    assert_pixels(page, small[0])
    page.goto(address_of(page))
    finished(page)
    assert page.get_by_label("24 × 16").is_checked()
    assert_pixels(page, large[0])


def test_a_model_that_makes_nothing_larger_is_refused(toy, upsampler, tmp_path):
    for model, second in ((toy, toy), (upsampler, upsampler)):
        with pytest.raises(ArtifactError):
            write_site(model, tmp_path / "site", upsampler=second)
