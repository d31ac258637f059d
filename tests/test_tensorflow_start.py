import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.tensorflow_start import is_worth_reading

ROOT = Path(__file__).parent.parent
ABSL = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
NO_CUDA = (
    "I0000 00:00:1795618706.351241    4709 cudart_stub.cc:31] Could not find cuda drivers on your "
    "machine, GPU will not be used."
)
CU_INIT = (
    "E0000 00:00:1795618706.351241    4709 cuda_platform.cc:52] failed call to cuInit: INTERNAL: "
    "CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)"
)
DATED = (
    "2026-11-25 15:02:42.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This "
    "TensorFlow binary is optimized to use available CPU instructions"
)
NO_DLOPEN = (
    "W0000 00:00:1795618706.351241    4709 gpu_device.cc:2431] Cannot dlopen some GPU libraries. "
    "Please make sure the missing libraries mentioned above are installed properly"
)
REGISTERED = (
    "E0000 00:00:1795618706.351241    4709 cuda_dnn.cc:8579] Unable to register cuDNN factory: "
    "Attempting to register factory for plugin cuDNN when one has already been registered"
)
FATAL = (
    "F0000 00:00:1795618706.351241    4709 cpu_feature_guard.cc:38] The TensorFlow library was "
    "compiled to use AVX instructions, but these aren't available on your machine."
)
OTHER_ERROR = "E0000 00:00:1795618706.351241    4709 env.cc:7] No space left on device"


@pytest.mark.parametrize(
    ("line", "without_a_gpu", "with_one"),
    [
        (ABSL, False, False),
        (NO_CUDA, False, False),
        (DATED, False, False),
        ("To enable the following instructions: AVX2 FMA, rebuild.", False, False),
        (CU_INIT, False, True),
        (NO_DLOPEN, False, True),
        (REGISTERED, False, False),
        (FATAL, True, True),
        (OTHER_ERROR, True, True),
        ("Traceback (most recent call last):", True, True),
        ("ImportError: libstdc++.so.6: cannot open shared object file", True, True),
    ],
)
def test_errors_are_worth_reading_and_notices_are_not(line, without_a_gpu, with_one):
    assert is_worth_reading(line, has_gpu=False) is without_a_gpu
    assert is_worth_reading(line, has_gpu=True) is with_one


def _import(folder="", environment=()):
    program = "from kdiffusion.tensorflow_start import import_tensorflow; import_tensorflow()"
    path = os.pathsep.join(filter(None, [str(folder), str(ROOT)]))
    return subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print('after', file=sys.stderr)"],
        env={**os.environ, "PYTHONPATH": path, **dict(environment)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_tensorflow_starts_without_a_word():
    loud = {"TF_CPP_MIN_LOG_LEVEL": "0"}
    done = _import(environment=loud)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "after\n")


def test_the_last_words_of_an_import_that_aborts_are_read(tmp_path):
    # Ours in TensorFlow's place: what it writes before it aborts can't be had from the real one.
    words = "".join(f"{line}\\n" for line in (ABSL, NO_CUDA, FATAL))
    text = f'import os\nos.write(2, b"""{words}""")\nos.abort()\n'
    (tmp_path / "tensorflow.py").write_text(text)
    done = _import(tmp_path)
    assert done.returncode < 0
    assert done.stderr.splitlines()[0] == FATAL
    assert "absl" not in done.stderr
    assert "cudart" not in done.stderr


def test_an_import_that_fails_says_why(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libcudart is of another version')")
    done = _import(tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("ImportError: libcudart is of another version\n")
