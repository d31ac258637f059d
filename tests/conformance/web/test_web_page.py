"""The page that `python -m kdiffusion web` makes, in Chromium: what it draws and how it is used."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from kdiffusion.diffusion.interpolation import interpolate
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import to_uint8
from tests.conformance.web.canvas import (
    RECORD,
    address_of,
    assert_pixels,
    finished,
    levels_off,
    pixels,
    steps_drawn,
)

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# A graphics adapter in software, which Chromium brings along: the same code as on a real one.
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


def test_it_samples_at_once_as_the_card_recommends(visit, address, drawn_by_python, card):
    page = visit(f"{address}?label=0")
    assert_pixels(page, drawn_by_python(0, 0))
    assert page.inner_text("#status").startswith("Generated in ")
    assert page.inner_text("#origin").endswith("Runs on WebAssembly.")
    assert page.inner_text("#caption").endswith("guidance 1.5 for noise from 0.2 to 2")
    assert len(page.workers) == 1
    assert page.locator("#label option").all_inner_texts() == [
        "all classes", *card.class_names, "no class",
    ]  # fmt: skip


def test_a_file_with_rounded_weights_draws_what_python_draws_from_it(
    exported, denoisers, copy, serve, visit
):
    shutil.copy(exported["onnx_int8"], copy / "denoiser.onnx")
    page = visit(f"{serve(copy)}?label=0")
    assert_pixels(page, sample(denoisers["onnx_int8"], [0], [0], progress=False)[0])


def test_every_sampler_samples_as_python_does(visit, address, drawn_by_python):
    page = visit(f"{address}?label=0")
    page.select_option("#label", "ape")
    page.fill("#seed", "18446744073709551615")
    page.fill("#guidance", "0.75")
    page.fill("#steps", "7")
    for name in [name for name, row in SAMPLERS.items() if not row.fitted]:
        page.select_option("#sampler", name)
        finished(page)
        options = {"sampler": name, "steps": 7, "guidance_strength": 0.75}
        assert_pixels(page, drawn_by_python(2, 2**64 - 1, **options))


def test_a_link_reproduces_the_image(visit, address):
    page = visit(f"{address}?label=0")
    page.select_option("#label", "no class")
    page.fill("#steps", "4")
    page.select_option("#sampler", "dpmpp_2m_sde")
    page.check("#walking")
    page.fill("#to", "12")
    page.click("text=Random seed")
    finished(page)
    copy = visit(address_of(page))
    np.testing.assert_array_equal(pixels(copy), pixels(page))
    assert address_of(copy) == page.url
    values = "[...new FormData(document.getElementById('form'))]"
    assert copy.evaluate(values) == page.evaluate(values)


def test_the_slider_walks_as_python_does(visit, address, denoisers):
    page = visit(f"{address}?label=1&seed=4&steps=6&guidance=0.5&to=9&at=0")
    # Neighbours on a walk must not differ by fresh noise: ddim stands in, as in Python.
    for sampler, used in (("dpmpp_2m_sde", "ddim"), ("unipc", "unipc")):
        page.select_option("#sampler", sampler)
        walk = interpolate(
            denoisers["onnx"], 1, (4, 9), frames=5, sampler=used, steps=6,
            guidance_strength=0.5, progress=False,
        )  # fmt: skip
        for at, image in zip((0, 0.25, 0.5, 0.75, 1), walk, strict=True):
            page.fill("#at", str(at))
            finished(page)
            assert_pixels(page, image)
            caption = page.inner_text("#caption")
            assert f"{round(100 * at)} % of the way from seed 4 to seed 9" in caption
            assert f"6 steps of {used}, " in caption


def test_the_saved_file_is_what_the_canvas_holds(visit, address):
    page = visit(f"{address}?label=1&seed=5")
    for scale, end in ((1, ""), (16, "-x16")):
        page.select_option("#size", str(scale))
        with page.expect_download() as download:
            page.click("text=Save PNG")
        assert download.value.suggested_filename == f"toy-dog-seed-5{end}.png"
        with Image.open(download.value.path()) as image:
            assert image.format == "PNG"
            enlarged = pixels(page).repeat(scale, axis=0).repeat(scale, axis=1)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), enlarged)


STOP_AT_A_STEP = """() => new MutationObserver((_, observer) => {
  observer.disconnect();
  document.getElementById("stop").click();
}).observe(document.getElementById("progress"), { attributes: true })"""


def test_it_can_be_stopped_and_the_page_stays_alive(visit, address):
    page = visit(f"{address}?label=0&steps=100&sampler=heun", script=RECORD)
    assert steps_drawn(page) == 100
    page.evaluate(STOP_AT_A_STEP)
    page.click("#generate")
    finished(page)
    assert page.inner_text("#status") == "Stopped"
    assert page.locator("#progress").evaluate("bar => bar.value") < 100
    assert page.is_disabled("#save")
    page.fill("#steps", "3")
    page.press("#steps", "Enter")
    finished(page)
    assert page.inner_text("#status").startswith("Generated in ")
    # The worker has stopped too, not only the page.
    assert steps_drawn(page) < 100 + 100 + 3


def test_the_newest_image_wins(visit, address, drawn_by_python):
    page = visit(f"{address}?label=0&steps=3")
    page.evaluate("""() => {
      const seed = document.getElementById("seed");
      for (const value of [1, 2, 3, 4]) {
        seed.value = value;
        seed.form.requestSubmit();
      }
    }""")
    finished(page)
    assert_pixels(page, drawn_by_python(0, 4, steps=3))


def test_it_is_used_by_keyboard_alone(visit, address, drawn_by_python):
    page = visit(f"{address}?label=0&steps=3")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.innerText")
        )
        if reached[-1] == "label":
            page.keyboard.type("dog")
        if reached[-1] == "seed":
            page.keyboard.type("8")  # over what is selected
        if reached[-1] == "walking":
            page.keyboard.press("Space")
        if reached[-1] == "at":
            page.keyboard.press("End")
    assert reached == [
        "film", "generate", "all", "stop", "label", "seed", "random", "guidance",
        "Advanced settings", "steps", "sampler", "walking", "to", "at",
    ]  # fmt: skip
    finished(page)
    assert_pixels(page, drawn_by_python(1, 1, steps=3))  # the slider's end


def test_a_phone_and_a_screen_reader_can_use_it(visit, address):
    page = visit(f"{address}?label=0&steps=0&to=1", viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_what_makes_no_sense_is_said(visit, address, drawn_by_python):
    page = visit(f"{address}?label=0&seed=7&steps=101")
    page.wait_for_selector("#canvas[aria-busy=false]")
    alert = page.locator("#alert")
    assert "“steps” must be" in alert.inner_text()
    assert_pixels(page, drawn_by_python(0, 0))
    page.fill("#seed", "7")
    page.press("#seed", "Enter")
    finished(page)
    assert alert.inner_text() == ""
    assert_pixels(page, drawn_by_python(0, 7))


def test_webgpu_draws_what_python_draws(launch, visit, address, drawn_by_python):
    # An adapter rounds in its own way, and this network's random weights enlarge what the first
    # step's division by sqrt(abar) has already enlarged: a value in a hundred may be further off.
    off = []
    with launch(*SOFTWARE_GPU) as browser:
        page = visit(f"{address}?label=0&runtime=webgpu&steps=2", browser=browser)
        assert page.inner_text("#origin").endswith("Runs on WebGPU.")
        for seed in range(8):
            page.fill("#seed", str(seed))
            page.press("#seed", "Enter")
            finished(page)
            off.append(levels_off(page, drawn_by_python(0, seed, steps=2)))
        assert np.mean(np.array(off) > 1) <= 0.01
        page = visit(address, browser=browser)  # an adapter in software is no gain
        assert page.inner_text("#origin").endswith("Runs on WebAssembly.")


OWN_PAGE = """<!doctype html><title>own</title><canvas width=12 height=8></canvas>
<script type="module">%s document.body.ariaBusy = "false";</script>"""


def test_the_documented_page_of_ones_own_draws_what_python_draws(
    browser, copy, serve, drawn_by_python
):
    text = (Path(__file__).parents[3] / "docs" / "browser.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    (copy.parent / "own.html").write_text(OWN_PAGE % snippet, encoding="utf-8")
    page = browser.new_context().new_page()
    page.goto(f"{serve(copy.parent)}own.html")
    page.wait_for_selector("body[aria-busy=false]", timeout=120_000)
    rgba = page.evaluate(
        "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 12, 8).data]"
    )
    drawn = np.reshape(rgba, (8, 12, 4))[..., :3]
    assert np.abs(drawn - to_uint8(drawn_by_python(2, 7)).astype(int)).max() <= 1
