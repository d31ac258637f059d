"""The notebook runs from its first cell to its last where kdiffusion isn't installed yet."""

import io
import subprocess
from base64 import b64decode

import nbformat
import numpy as np
import pytest
from PIL import Image

EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read("digits.ipynb", as_version=4)
(parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
assert parameters.source.startswith("EPOCHS = ")
parameters.source = "EPOCHS = 2"
nbclient.NotebookClient(notebook, timeout=600).execute()
nbformat.write(notebook, "executed.ipynb")
"""


@pytest.mark.slow
def test_the_notebook_installs_trains_exports_and_samples(checkout, bare_environment):
    folder, python = checkout / "docs", bare_environment() / "python"
    # The kernel that nbclient starts is of the environment that it runs in.
    done = subprocess.run([python, "-c", EXECUTE], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = (
        nbformat.read(folder / name, as_version=4) for name in ("digits.ipynb", "executed.ipynb")
    )
    assert not any(cell.get("outputs") for cell in before.cells)  # a small file, clean diffs
    outputs = [output for cell in after.cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "image/png" in output.get("data", {})]
    digits, samples, walk = (
        np.asarray(Image.open(io.BytesIO(b64decode(data["image/png"])))) for data in shown
    )
    assert digits.std() > 30
    assert samples.shape[0] > 2 * samples.shape[1]  # ten rows of four
    assert walk.shape[1] > 5 * walk.shape[0]  # one row of ten
    texts = [output.text for output in outputs if "text" in output]
    (difference,) = (text for text in texts if text.startswith("largest difference"))
    assert int(difference.split()[-3]) <= 2
