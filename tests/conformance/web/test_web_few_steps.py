"""The page of a student of few steps, which has ten classes and takes no guidance."""

import pytest

from kdiffusion.artifacts.released import released_models
from kdiffusion.parts.web import write_site

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PHONE = {"width": 390, "height": 844}
COLOUR = "canvas => getComputedStyle(canvas).backgroundColor"


@pytest.fixture(scope="module")
def address(tmp_path_factory, find_program, serve):
    find_program("npm", "npm, which comes with Node.js")
    folder = tmp_path_factory.mktemp("few_steps") / "site"
    write_site(released_models()["cifar10_few_steps"], folder)
    return serve(folder)


@pytest.fixture(scope="module")
def page(opened, address):
    return opened(address, viewport=PHONE)


def test_ten_tiles_fill_the_rows_of_a_phone(page):
    boxes = [tile.bounding_box() for tile in page.locator("#tiles li").all()]
    rows = {box["y"]: [other for other in boxes if other["y"] == box["y"]] for box in boxes}
    assert [len(row) for row in rows.values()] == [5, 5]
    assert page.locator("#tiles").evaluate("tiles => tiles.scrollHeight <= tiles.clientHeight")
    assert boxes[0]["x"] == 16
    assert boxes[-1]["x"] + boxes[-1]["width"] == pytest.approx(PHONE["width"] - 16)


def test_guidance_is_not_offered_by_a_model_that_has_none(page):
    assert page.locator("#guidance").is_hidden()
    assert page.inner_text("#caption") == "All classes, seeds 0 to 9; 4 steps of ddim"


def test_a_grey_tile_stands_where_a_picture_will_be(browser, address):
    page = browser.new_page(viewport=PHONE)
    page.route("**/denoiser.onnx", lambda route: None)  # it never comes
    page.goto(address)
    blank = page.locator("#tiles li").first
    before = blank.bounding_box()
    assert before["height"] > before["width"] > 60
    colour = blank.evaluate("tile => getComputedStyle(tile, '::before').backgroundColor")
    assert colour == page.locator("#canvas").evaluate(COLOUR) == "rgb(221, 224, 231)"
    assert page.locator("#stage").is_hidden()
    page.goto(f"{address}?label=ship")
    assert page.locator("#canvas").bounding_box()["width"] == 358
    assert page.locator("#tiles").is_hidden()
    page.close()
