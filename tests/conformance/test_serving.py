"""The SavedModel as TensorFlow Serving sees it: no code of ours, no Keras."""

import subprocess
import sys

import pytest

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


def test_the_signature_is_the_contract(exported):
    process = subprocess.run(
        [sys.executable, "-c", _CLIENT, exported["saved_model"]],
        capture_output=True,
        text=True,
        check=True,
        cwd=exported["saved_model"],  # away from the package
    )
    assert process.stdout.splitlines() == [
        "label int32 (None,)",
        "noisy_image float32 (None, 8, 12, 3)",
        "timestep int32 (None,)",
        "prediction float32 (None, 8, 12, 3)",
    ]
    assert (exported["saved_model"] / "assets.extra" / "denoiser_card.json").is_file()
