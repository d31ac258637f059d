"""What the page refuses to draw from, and says: damage, bad cards, other numbers, foreign code."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kdiffusion.artifacts.onnx_loader import CARD_KEY, SEAL_KEY
from kdiffusion.artifacts.self_check import SELF_CHECK_KEY
from tests.conformance.web.canvas import assert_pixels

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def copy(site, tmp_path):
    """A copy of the site that a test may spoil."""
    return shutil.copytree(site, tmp_path / "site")


def rewrite(site, change):
    """Changes the site's ONNX file as another tool would, which drops the seal."""
    path = site / "denoiser.onnx"
    model = onnx.load(path)
    texts = {entry.key: entry.value for entry in model.metadata_props}
    del texts[SEAL_KEY]
    change(model, texts)
    onnx.helper.set_model_props(model, {key: text for key, text in texts.items() if text})
    onnx.save(model, path)


def card_with(**fields):
    def change(model, texts):
        card = json.loads(texts[CARD_KEY]) | fields
        texts[CARD_KEY] = json.dumps({key: card[key] for key in card if card[key] is not None})

    return lambda site: rewrite(site, change)


def flip(site):
    path = site / "denoiser.onnx"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def with_text(key, text):
    """A function that gives a site's network another text in its metadata."""
    return lambda site: rewrite(site, lambda model, texts: texts.update({key: text}))


def other_kernel(model, texts):
    kernel = next(each for each in model.graph.initializer if len(each.dims) == 4)
    changed = numpy_helper.to_array(kernel) * np.float32(1.01)
    kernel.CopyFrom(numpy_helper.from_array(changed, kernel.name))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda site: (site / "denoiser.onnx").write_bytes(b"no network"), "carries no card"),
        (lambda site: (site / "denoiser.onnx").unlink(), "denoiser.onnx: the server answered 404"),
        (flip, "is damaged: its SHA-256 is not that of its export"),
        (card_with(format_version=2), "version 1, not 2"),
        (card_with(class_names=None), "“class_names” must be a list of names"),
        (card_with(class_names=[]), "“class_names” must be a list of names"),
        (card_with(image_shape=[8, 12, 4]), "“image_shape” must be a height"),
        (card_with(value_range=[0, 1]), "“value_range” must be -1 and 1"),
        (card_with(prediction_type="flow"), "“prediction_type” must be one of epsilon, x0, v"),
        (card_with(steps=10**6), "“steps” must be a whole number from 1 to that of the timesteps"),
        (card_with(alphas_cumprod=[0.5, 0.9]), "“alphas_cumprod” must be numbers from 1 to 0"),
        (with_text(CARD_KEY, "no JSON"), "The card must have version 1, not undefined"),
        (with_text(SELF_CHECK_KEY, "null"), "its golden predictions cannot be read"),
        (lambda site: rewrite(site, other_kernel), "off those that the model carries"),
        (lambda site: shutil.rmtree(site / "runtime"), "could not be loaded"),
        (lambda site: (site / "worker.js").unlink(), "could not be loaded"),
    ],
    ids=[
        "damaged network", "no network", "flipped weight", "newer card", "card without names",
        "card of no class", "card of other images", "card of other values",
        "card of another target", "too many steps", "no schedule", "no card", "no golden numbers",
        "other numbers", "no runtime", "no worker",
    ],
)  # fmt: skip
def test_what_could_not_be_loaded_is_said(visit, copy, serve, spoil, reason):
    spoil(copy)
    page = visit(serve(copy), may_fail=True)
    assert "The model could not be loaded." in page.inner_text("#alert")
    assert reason in page.inner_text("#alert")
    assert "Loading" not in page.inner_text("#status")
    assert page.is_disabled("#label")


def test_a_file_without_golden_predictions_is_drawn_from(visit, copy, serve, drawn_by_python):
    rewrite(copy, lambda model, texts: texts.pop(SELF_CHECK_KEY))
    assert_pixels(visit(serve(copy)), drawn_by_python(0, 0))


def test_classes_with_empty_names_have_their_number(visit, copy, serve):
    card_with(class_names=["cat", "", "ape"])(copy)
    page = visit(serve(copy))
    names = page.locator("#label option").all_inner_texts()
    assert names == ["cat", "class 1", "ape", "no class"]


def test_a_recommended_sampler_that_the_page_lacks_is_said(visit, copy, serve, drawn_by_python):
    card_with(sampler="of_the_future")(copy)
    page = visit(serve(copy))
    page.wait_for_selector("#canvas[aria-busy=false]")
    assert "“of_the_future”, which this page lacks" in page.inner_text("#alert")
    assert_pixels(page, drawn_by_python(0, 0, sampler="ddim"))


def test_no_code_runs_but_the_sites_own(visit, address):
    page = visit(address, may_fail=True)
    for content in ("text = 'window.ran = true'", "src = 'data:text/javascript,window.ran = true'"):
        page.evaluate(
            f"document.head.append(Object.assign(document.createElement('script'), "
            f"{{ {content.replace(' = ', ': ', 1)} }}))"
        )
    page.wait_for_timeout(200)  # milliseconds
    assert page.evaluate("window.ran") is None


# A runtime for WebGPU whose every number is 1 % too large, as a faulty driver's might be.
FAULTY = """
import * as ort from "./ort.wasm.bundle.min.mjs";
export const { env, Tensor } = ort;
export const InferenceSession = {
  async create(model) {
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return {
      async run(feeds) {
        const { prediction } = await session.run(feeds);
        return { prediction: { data: prediction.data.map((value) => 1.01 * value) } };
      },
    };
  },
};
"""


def test_a_gpu_that_miscomputes_is_noticed_and_not_used(visit, copy, serve, drawn_by_python):
    (copy / "runtime" / "ort.webgpu.bundle.min.mjs").write_text(FAULTY)
    page = visit(f"{serve(copy)}?runtime=webgpu")
    origin = page.inner_text("#origin")
    assert "WebAssembly, because WebGPU could not be used (its numbers are " in origin
    assert_pixels(page, drawn_by_python(0, 0))


REJECTING = """
Object.defineProperty(navigator, "gpu", {
  value: { requestAdapter: () => Promise.reject(new DOMException("", "NotSupportedError")) },
});
"""


def test_a_gpu_that_the_browser_distrusts_is_not_used(visit, copy, serve, drawn_by_python):
    worker = copy / "worker.js"
    worker.write_text(REJECTING + worker.read_text())
    page = visit(serve(copy))
    assert page.inner_text("#origin").endswith("Runs on WebAssembly.")
    assert_pixels(page, drawn_by_python(0, 0))
