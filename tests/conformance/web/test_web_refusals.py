"""What the page refuses to draw from, and says: damage, bad cards, other numbers, foreign code."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kdiffusion.artifacts.onnx_loader import SEAL_KEY
from tests.conformance.web.canvas import assert_pixels

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_what_could_not_be_loaded_is_said(visit, copy, serve):
    """A kernel that another tool has changed, which drops the seal."""
    model = onnx.load(copy / "denoiser.onnx")
    kernel = next(each for each in model.graph.initializer if len(each.dims) == 4)
    changed = numpy_helper.to_array(kernel) * np.float32(1.01)
    kernel.CopyFrom(numpy_helper.from_array(changed, kernel.name))
    kept = {each.key: each.value for each in model.metadata_props if each.key != SEAL_KEY}
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, copy / "denoiser.onnx")
    page = visit(serve(copy), may_fail=True)
    assert "The model could not be loaded." in page.inner_text("#alert")
    assert "off those that the model carries" in page.inner_text("#alert")
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
