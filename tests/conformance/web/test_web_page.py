"""The page that `python -m kdiffusion web` makes, in Chromium: what it samples and how it is used.

Most tests use one page, one after another, each from where the last one left it.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample
from tests.conformance.web.canvas import (
    address_of,
    assert_pixels,
    choose,
    finished,
    levels_off,
    pixels,
    tile,
    told,
)

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# A graphics adapter in software, which Chromium brings along: the same code as on a real one.
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


def test_it_opens_on_every_class_as_the_card_recommends(page, drawn_by_python, card):
    assert "label=" not in address_of(page)
    assert page.locator("#canvas").is_hidden()
    for label in range(3):  # of as many seeds, as `sample --labels all` has them
        assert_pixels(page, drawn_by_python(label, label), tile(label))
    assert page.locator("#tiles button").all_inner_texts() == list(card.class_names)
    options = ["all classes", *card.class_names, "no class"]
    assert page.locator("#label option").all_inner_texts() == options
    assert page.inner_text("#caption").startswith("All classes, seeds 0 to 2; 5 steps")
    assert page.inner_text("#caption").endswith("guidance 1.5 for noise from 0.2 to 2")
    assert "Runs on WebAssembly; nothing leaves" in page.inner_text("#origin")
    with page.expect_download() as download:
        page.click("text=Save PNG")
    assert download.value.suggested_filename == "toy-all-classes-seeds-from-0.png"
    with Image.open(download.value.path()) as image:
        assert image.size == (2 * 12, 2 * 8)


def test_it_fits_its_screens_and_a_screen_reader_can_use_it(page):
    for width, height in ((1280, 800), (390, 844), (360, 740)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("#tiles canvas").first.evaluate("tile => tile.clientWidth") >= 96
        first, tiles = (page.locator(each).bounding_box() for each in ("#random", "#tiles"))
        assert first["y"] < tiles["y"]
        page.fill("#seed", str(2**32 - 1))
        assert page.locator("#seed").evaluate("field => field.scrollWidth <= field.clientWidth")
        walk = page.locator("#at").bounding_box()
        assert walk["y"] + walk["height"] <= height
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 1280, "height": 800})
    for label in ("", 1):
        choose(page, label=label)
        assert page.evaluate("document.documentElement.scrollHeight") == 800


def test_a_tile_opens_its_image_and_leads_back(page, drawn_by_python):
    choose(page, label="", seed=6, steps=4, at=0)
    before = told(page, "step")
    for back in (lambda: page.click("#all"), page.go_back):
        page.click("#tiles button:has-text('dog')")
        finished(page)
        assert (page.input_value("#label"), page.input_value("#seed")) == ("1", "7")
        assert page.locator("#tiles").is_hidden()
        assert_pixels(page, drawn_by_python(1, 7, steps=4))
        back()
        assert page.locator("#tiles").is_visible()
        assert page.input_value("#seed") == "6"
    assert told(page, "step") == before  # as they were: nothing is sampled again
    page.go_forward()
    assert page.locator("#tiles").is_hidden()
    assert "label=1&seed=7&" in address_of(page)


def test_a_link_of_one_seed_shows_it_for_all_classes(visit, address, drawn_by_python):
    page = visit(f"{address}?seed=3")
    for label in range(3):
        assert_pixels(page, drawn_by_python(label, 3), tile(label))
    page.uncheck("[name=same]")
    finished(page)
    assert_pixels(page, drawn_by_python(2, 5), tile(2))
    assert "&seeds=3" in address_of(page)


def test_every_sampler_samples_as_python_does(page, drawn_by_python):
    largest = 2**64 - 1
    for name in [name for name, row in SAMPLERS.items() if not row.fitted]:
        choose(page, label=2, seed=largest, guidance=0.75, steps=7, sampler=name, at=0)
        options = {"sampler": name, "steps": 7, "guidance_strength": 0.75}
        assert_pixels(page, drawn_by_python(2, largest, **options))
    # Neighbours on a walk must not differ by fresh noise: ddim stands in, as in Python.
    choose(page, label=1, seed=4, to=9, steps=6, guidance=0.5, sampler="dpmpp_2m_sde", at=1)
    options = {"sampler": "ddim", "steps": 6, "guidance_strength": 0.5}
    assert_pixels(page, drawn_by_python(1, 9, **options))


def test_the_steps_can_be_gone_through_noisy_or_clean(page, denoisers):
    iterates = []
    sample(
        denoisers["onnx"], [2], [3], steps=5, progress=False,
        callback=lambda index, t, *images: iterates.append([each[0] for each in images]),
    )  # fmt: skip
    choose(page, label=2, seed=3, steps=5, guidance=1.5, sampler="ddim", at=0)
    assert page.inner_text("#film-step") == "5 of 5"
    for step, clean in ((1, 0), (4, 0), (2, 1), (5, 0), (2, 0)):
        page.set_checked("#clean", bool(clean))
        page.fill("#film", str(step - 1))
        assert page.inner_text("#film-step") == f"{step} of 5"
        assert_pixels(page, iterates[step - 1][clean].astype(np.float32))
    for scale, end in ((1, ""), (16, "-x16")):
        page.select_option("#size", str(scale * pixels(page).shape[1]))
        with page.expect_download() as download:
            page.click("text=Save PNG")
        assert download.value.suggested_filename == f"toy-ape-seed-3-step-2{end}.png"
        with Image.open(download.value.path()) as image:
            assert image.format == "PNG"
            enlarged = pixels(page).repeat(scale, axis=0).repeat(scale, axis=1)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), enlarged)
    page.fill("#film", "4")


def test_a_held_key_draws_as_it_is_held(page, drawn_by_python):
    choose(page, label=1, seed=0, steps=100, sampler="ddim", at=0)
    before = told(page, "done")
    page.focus("#seed")
    for _ in range(60):  # as fast as the system repeats it, and faster than an image is sampled
        page.keyboard.down("ArrowUp")
        page.wait_for_timeout(20)  # milliseconds
    assert 2 <= told(page, "done") - before < 60
    page.keyboard.up("ArrowUp")
    finished(page)
    assert_pixels(page, drawn_by_python(1, 60, steps=100, sampler="ddim"))


STOP_AT_A_STEP = """() => new MutationObserver((_, observer) => {
  observer.disconnect();
  document.getElementById("stop").click();
}).observe(document.getElementById("progress"), { attributes: true })"""


def test_it_can_be_stopped_and_the_newest_image_wins(page, drawn_by_python):
    choose(page, label=0, steps=100, sampler="dpmpp_2m", seed=1)
    before = told(page, "step")
    page.evaluate(STOP_AT_A_STEP)
    page.click("#generate")
    finished(page)
    assert page.inner_text("#status") == "Stopped"
    assert page.is_disabled("#save")
    page.evaluate("""() => {
      form.steps.value = 3;
      for (const value of [1, 2, 3, 4]) {
        form.seed.value = value;
        form.requestSubmit();
      }
    }""")
    finished(page)
    assert_pixels(page, drawn_by_python(0, 4, steps=3, sampler="dpmpp_2m"))
    assert told(page, "step") < before + 100  # the worker has stopped too, not only the page


def test_a_link_reproduces_the_image(page, visit):
    choose(page, label=3, steps=4, sampler="dpmpp_2m_sde", at=0.25)
    page.click("text=New images")
    finished(page)
    copy = visit(address_of(page))
    np.testing.assert_array_equal(pixels(copy), pixels(page))
    assert address_of(copy) == page.url
    values = "[...new FormData(document.getElementById('form'))]"
    assert copy.evaluate(values) == page.evaluate(values)


def test_what_makes_no_sense_is_said(visit, address, drawn_by_python):
    page = visit(f"{address}?label=0&seed=7&steps=101")
    page.wait_for_selector("#canvas[aria-busy=false]")
    assert "“steps” must be" in page.inner_text("#alert")
    assert_pixels(page, drawn_by_python(0, 0))
    choose(page, seed=7)
    assert page.inner_text("#alert") == ""
    assert_pixels(page, drawn_by_python(0, 7))


def test_a_file_with_rounded_weights_draws_what_python_draws_from_it(
    exported, denoisers, copy, serve, visit
):
    shutil.copy(exported["onnx_int8"], copy / "denoiser.onnx")
    page = visit(f"{serve(copy)}?label=cat")
    assert_pixels(page, sample(denoisers["onnx_int8"], [0], [0], progress=False)[0])


def test_webgpu_draws_what_python_draws(launch, visit, address, drawn_by_python):
    # An adapter rounds in its own way, and this network's random weights enlarge what the first
    # step's division by sqrt(abar) has already enlarged: a value in a hundred may be further off.
    off = []
    with launch(*SOFTWARE_GPU) as browser:
        page = visit(f"{address}?label=0&runtime=webgpu&steps=2", browser=browser)
        assert "Runs on WebGPU;" in page.inner_text("#origin")
        for seed in range(2):
            choose(page, seed=seed)
            off.append(levels_off(page, drawn_by_python(0, seed, steps=2)))
        assert np.mean(np.array(off) > 1) <= 0.01
        page = visit(address, browser=browser)  # an adapter in software is no gain
        assert "Runs on WebAssembly;" in page.inner_text("#origin")


OWN_PAGE = """<!doctype html><title>own</title><canvas width=12 height=8></canvas>
<script type="module">%s document.body.ariaBusy = "false";</script>"""


def test_the_documented_page_of_ones_own_draws_what_python_draws(
    browser, copy, serve, drawn_by_python
):
    text = (Path(__file__).parents[3] / "docs" / "web.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    (copy.parent / "own.html").write_text(OWN_PAGE % snippet, encoding="utf-8")
    page = browser.new_context().new_page()
    page.goto(f"{serve(copy.parent)}own.html")
    page.wait_for_selector("body[aria-busy=false]", timeout=120_000)
    assert_pixels(page, drawn_by_python(2, 7), "canvas")
