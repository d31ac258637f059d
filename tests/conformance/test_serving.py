"""Exported files as others see them: no code of ours, no Keras, and what docs/export.md shows."""

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdiffusion import load_denoiser, sample
from kdiffusion.artifacts import load_sampler
from kdiffusion.images import to_uint8

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]

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
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_documented_onnx_client_draws(snippets, one_sampler, monkeypatch):
    monkeypatch.chdir(one_sampler["onnx"].parent)
    names = {}
    exec(snippets[0], names)
    assert names["pixels"].shape == (2, 8, 12, 3)
    noise = names["noise"].astype(np.float32)
    expected = load_sampler(one_sampler["onnx"])[0](noise, [0, 1], 1.0)
    np.testing.assert_array_equal(names["pixels"], to_uint8(expected))


def test_the_documented_server_gives_the_image_of_a_seed(snippets, tmp_path):
    (tmp_path / "serve.py").write_text(snippets[2])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "serve:app", "--port", str(port)], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert any("running on" in line for line in server.stderr)
        url = f"http://127.0.0.1:{port}/7.png?seed=3"
        with urllib.request.urlopen(url) as answer, Image.open(answer) as image:
            want = sample(load_denoiser("digits"), "7", [3], progress=False)
            np.testing.assert_array_equal(image, to_uint8(want)[0, :, :, 0])
        for wrong in (url.replace("7.png", "cat.png"), url.replace("=3", "=-1")):
            with pytest.raises(urllib.error.HTTPError, match="422"):
                urllib.request.urlopen(wrong)
    finally:
        server.kill()
        server.wait()
