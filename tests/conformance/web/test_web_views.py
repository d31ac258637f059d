"""What the page shows beside one image: all classes at once, and the steps of the newest one."""

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from kdiffusion.images import to_uint8
from tests.conformance.web.canvas import (
    RECORD,
    address_of,
    assert_pixels,
    finished,
    pixels,
    steps_drawn,
)

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def tile(page, label):
    """What a tile holds: uint8 [H, W, 3]."""
    size, *rgba = page.evaluate(
        """label => {
          const canvas = tiles.querySelectorAll("canvas")[label];
          const { width, height } = canvas;
          return [width, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
        }""",
        label,
    )
    return np.reshape(rgba, (-1, size, 4))[..., :3]


def test_it_opens_on_every_class_and_a_tile_opens_its_own(visit, address, drawn_by_python, card):
    page = visit(f"{address}?seed=6&steps=4", script=RECORD)
    assert "label=" not in address_of(page)
    assert page.locator("#canvas").is_hidden()
    widths = page.locator("#tiles canvas").evaluate_all(
        "all => all.map((each) => each.clientWidth)"
    )
    assert min(widths) >= 96
    assert page.locator("#tiles button").all_inner_texts() == list(card.class_names)
    expected = [to_uint8(drawn_by_python(label, 6, steps=4)).astype(int) for label in range(3)]
    for label, image in enumerate(expected):
        assert np.abs(tile(page, label) - image).max() <= 1
    assert page.inner_text("#caption").startswith("All classes, seed 6; 4 steps")
    with page.expect_download() as download:
        page.click("text=Save PNG")
    assert download.value.suggested_filename == "toy-all-classes-seed-6.png"
    with Image.open(download.value.path()) as image:
        assert image.size == (2 * 12, 2 * 8)
    assert Axe().run(page).violations_count == 0

    page.click("#tiles button:has-text('dog')")
    finished(page)
    assert page.input_value("#label") == "1"
    assert page.locator("#tiles").is_hidden()
    assert_pixels(page, drawn_by_python(1, 6, steps=4))
    before = steps_drawn(page)
    page.click("#all")  # as they were: nothing is drawn again
    assert page.inner_text("#status") == ""
    np.testing.assert_array_equal(tile(page, 2), tile(visit(address_of(page)), 2))
    assert steps_drawn(page) == before
    page.fill(
        "#steps", "1000"
    )  # more than the card has: no tile opens, and the reader is led there
    page.click("#tiles button:has-text('ape')")
    assert page.locator("#tiles").is_visible()
    assert page.input_value("#label") == ""
    assert page.evaluate("document.activeElement.id") == "steps"
    page.fill("#steps", "4")
    page.select_option("#label", "dog")

    page.fill("#seed", "7")
    page.press("#seed", "Enter")
    finished(page)
    assert_pixels(page, drawn_by_python(1, 7, steps=4))


def test_the_steps_can_be_gone_through(visit, address, denoisers, card):
    from kdiffusion.diffusion.sampling import sample

    page = visit(f"{address}?label=2&seed=3&steps=5")
    iterates = []
    sample(
        denoisers["onnx"], [2], [3], steps=5, progress=False,
        callback=lambda index, t, x, x0: iterates.append(x[0].astype(np.float32)),
    )  # fmt: skip
    assert page.inner_text("#film-step") == "5 of 5"
    for step in (1, 4, 2, 5):
        page.fill("#film", str(step - 1))
        assert page.inner_text("#film-step") == f"{step} of 5"
        assert_pixels(page, iterates[step - 1])
    page.fill("#film", "1")
    with page.expect_download() as download:
        page.click("text=Save PNG")
    assert download.value.suggested_filename == "toy-ape-seed-3-step-2.png"
    with Image.open(download.value.path()) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels(page))


def test_images_are_smooth_until_plain_pixels_are_asked_for(visit, address):
    page = visit(address, viewport={"width": 1280, "height": 800})
    rendering = "canvas => getComputedStyle(canvas).imageRendering"
    tile_canvas = page.locator("#tiles canvas").first
    assert tile_canvas.evaluate(rendering) == "auto"
    page.check("#plain")
    assert tile_canvas.evaluate(rendering) == "pixelated"
    page.locator("#advanced").evaluate("details => details.open = false")
    page.click("#tiles button:has-text('dog')")
    finished(page)
    assert page.locator("#canvas").evaluate(rendering) == "pixelated"
    # Everything is on the first screen.
    assert page.evaluate("document.documentElement.scrollHeight") == 800
