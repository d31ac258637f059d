"""What is written to standard error while TensorFlow is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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
    done = _import(environment={"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "after\n")


def test_an_import_that_fails_says_why(tmp_path):
    # A file in TensorFlow's place: the real one doesn't fail here.
    text = (
        "import os\nos.write(2, b'words\\n')\nraise ImportError('libcudart is of another version')"
    )
    (tmp_path / "tensorflow.py").write_text(text)
    done = _import(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("words\n")
    assert done.stderr.endswith("ImportError: libcudart is of another version\n")
