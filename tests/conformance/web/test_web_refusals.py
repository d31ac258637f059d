"""What the page refuses to draw from, and says: damage, bad cards, other numbers, foreign code."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kdiffusion.artifacts.onnx_loader import CARD_KEY, SEAL_KEY
from tests.conformance.web.canvas import assert_pixels

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def rewrite(site, change):
    """Changes the site's ONNX file as another tool would, which drops the seal."""
    path = site / "denoiser.onnx"
    model = onnx.load(path)
    texts = {entry.key: entry.value for entry in model.metadata_props}
    del texts[SEAL_KEY]
    change(model, texts)
    onnx.helper.set_model_props(model, {key: text for key, text in texts.items() if text})
    onnx.save(model, path)


def flip(site):
    path = site / "denoiser.onnx"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def newer_card(site):
    def change(model, texts):
        texts[CARD_KEY] = json.dumps(json.loads(texts[CARD_KEY]) | {"format_version": 2})

    rewrite(site, change)


def other_kernel(site):
    def change(model, texts):
        kernel = next(each for each in model.graph.initializer if len(each.dims) == 4)
        changed = numpy_helper.to_array(kernel) * np.float32(1.01)
        kernel.CopyFrom(numpy_helper.from_array(changed, kernel.name))

    rewrite(site, change)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (flip, "is damaged: its SHA-256 has changed since its export"),
        (newer_card, "version 1, not 2"),
        (other_kernel, "off those that the model carries"),
    ],
    ids=["flipped weight", "newer card", "other numbers"],
)
def test_what_could_not_be_loaded_is_said(visit, copy, serve, spoil, reason):
    spoil(copy)
    page = visit(serve(copy), may_fail=True)
    assert "The model could not be loaded." in page.inner_text("#alert")
    assert reason in page.inner_text("#alert")
    assert "Loading" not in page.inner_text("#status")
    assert page.is_disabled("#label")


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
    page = visit(f"{serve(copy)}?label=0&runtime=webgpu")
    origin = page.inner_text("#origin")
    assert "WebAssembly, because WebGPU could not be used (its numbers are " in origin
    assert_pixels(page, drawn_by_python(0, 0))
