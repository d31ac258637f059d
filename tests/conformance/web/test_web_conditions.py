"""The page of a model that is conditioned on numbers: a slider for each."""

import numpy as np
import pytest

from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.export.formats import export_network
from kdiffusion.networks.unet import UNet
from kdiffusion.parts.web import write_site
from kdiffusion.training.diffusion_model import DiffusionModel
from tests.conformance.web.canvas import address_of, assert_pixels, finished
from tests.diffusion.test_conditions import NUMBERS
from tests.networks.layer_values import randomise

pytestmark = [pytest.mark.slow, pytest.mark.browser]

DRAG = """(slider, value) => {
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  slider.dispatchEvent(new Event("change", { bubbles: true }));
}"""


@pytest.fixture(scope="module")
def model_and_page(tmp_path_factory, find_program, serve, opened):
    find_program("npm", "npm, which comes with Node.js")
    folder = tmp_path_factory.mktemp("numbers")
    standardisation = {number.name: (number.mean, number.std) for number in NUMBERS}
    network = UNet((8, 8, 1), 2, 8, (1,), 1, (), numbers=standardisation)
    randomise(network)
    model = DiffusionModel(network, make_schedule("cosine", 100), prediction_type="v")
    card = model.card(class_names=("a", "b"), steps=4, sampler="ddim", numbers=NUMBERS)
    exported = export_network(model.ema_network, card, folder, ["onnx"])
    write_site(exported["onnx"], folder / "site")
    return model, opened(f"{serve(folder / 'site')}?label=1&seed=3")


def drawn(model, **numbers):
    """The image of class b and seed 3: float32 `[8, 8, 3]`, as a canvas shows it."""
    options = {"steps": 4, "sampler": "ddim", "guidance_strength": 1.0, "progress": False}
    return np.repeat(model.sample([1], [3], numbers=numbers, **options)[0], 3, axis=-1)


def test_a_slider_for_each_number_redraws_as_it_is_dragged(model_and_page):
    model, page = model_and_page
    assert page.locator("#sliders label").all_inner_texts() == ["weight", "slant (degrees)"]
    assert_pixels(page, drawn(model, weight=400, slant=0))
    page.locator("#number-slant").evaluate(DRAG, -10)
    finished(page)
    assert_pixels(page, drawn(model, weight=400, slant=-10))


def test_a_link_brings_the_sliders_back(model_and_page):
    model, page = model_and_page
    for name, value in (("slant", -10), ("weight", 650)):
        page.locator(f"#number-{name}").evaluate(DRAG, value)
        finished(page)
    page.goto(address_of(page))
    finished(page)
    assert float(page.input_value("#number-weight")) == pytest.approx(650)
    assert float(page.input_value("#number-slant")) == pytest.approx(-10)
    assert_pixels(page, drawn(model, weight=650, slant=-10))
