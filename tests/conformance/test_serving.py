"""Exported files as others see them: no code of ours, no Keras, and what docs/export.md shows."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.artifacts import load_sampler
from kdiffusion.images import to_uint8

pytestmark = pytest.mark.slow

_CLIENT = """
import sys
sys.modules["keras"] = None
import tensorflow as tf

serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
arguments = serve.structured_input_signature[1]
for name in sorted(arguments):
    print(name, arguments[name].dtype.name, arguments[name].shape)
for name, spec in serve.structured_outputs.items():
    print(name, spec.dtype.name, spec.shape)
"""


def test_the_signature_is_the_contract(exported, run_python):
    away = {"cwd": exported["saved_model"], "env": {"PYTHONPATH": ""}}  # from the package
    said = run_python("-c", _CLIENT, exported["saved_model"], **away).stdout
    assert said.splitlines() == [
        "label int32 (None,)",
        "noisy_image float32 (None, 8, 12, 3)",
        "timestep int32 (None,)",
        "prediction float32 (None, 8, 12, 3)",
    ]
    assert (exported["saved_model"] / "assets.extra" / "denoiser_card.json").is_file()


@pytest.fixture(scope="module")
def snippets():
    """The Python blocks of docs/export.md, in order."""
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def samplers(whole_samplers):
    """Format name ► path of a whole sampler of five steps."""
    return whole_samplers("unipc", clip=True)


def test_the_documented_onnx_client_draws(snippets, samplers, monkeypatch):
    monkeypatch.chdir(samplers["onnx"].parent)
    names = {}
    exec(snippets[0], names)
    assert names["pixels"].shape == (2, 8, 12, 3)
    noise = names["noise"].astype(np.float32)
    expected = load_sampler(samplers["onnx"])[0](noise, [0, 1], 1.0)
    np.testing.assert_array_equal(names["pixels"], to_uint8(expected))


def test_the_documented_rest_client_draws(snippets, samplers, card):
    names = {}
    exec(snippets[2], names)
    model = tf.saved_model.load(str(samplers["saved_model"]))

    class ColumnarPredict(BaseHTTPRequestHandler):
        """`:predict` with "inputs", and a signature of one output, as TensorFlow Serving has it."""

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            serve = model.signatures[body["signature_name"]]
            specs = serve.structured_input_signature[1]
            inputs = {name: tf.constant(v, specs[name].dtype) for name, v in body["inputs"].items()}
            (output,) = serve(**inputs).values()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"outputs": output.numpy().tolist()}).encode())

    noise = np.random.default_rng(0).standard_normal((2, *card.image_shape))
    with HTTPServer(("127.0.0.1", 0), ColumnarPredict) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/models/toy:predict"
        images = names["sample"](url, noise, [0, 1], 1.0)
    # TensorFlow's loader and ours optimise the graph each in its way, so it rounds differently, and
    # five steps through random weights enlarge that: 1.2e-4 was seen. Other images differ by 1.
    expected = load_sampler(samplers["saved_model"], trust=True)[0](noise, [0, 1], 1.0)
    np.testing.assert_allclose(images, expected, rtol=0, atol=2e-3)
    assert np.ptp(expected) > 1
