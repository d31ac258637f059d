"""The notebook: it runs from its first cell to its last, with a training that is cut short."""

import io
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "digits.ipynb"


def _of(notebook, kind):
    """What the cells have shown of a kind, in order."""
    shown = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())
    ]
    return [data[kind] for data in shown if kind in data]


@pytest.mark.slow
def test_the_notebook_trains_shows_exports_and_draws(tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # a small file, clean diffs
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())
    )
    assert parameters.source.startswith("EPOCHS = ")
    parameters.source = "EPOCHS = 2"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as if it were installed
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()

    digits, drawn, walk = (
        np.asarray(Image.open(io.BytesIO(b64decode(png)))) for png in _of(notebook, "image/png")
    )
    assert digits.std() > 30
    assert drawn.shape[0] > 2 * drawn.shape[1]  # ten rows of four
    assert walk.shape[1] > 5 * walk.shape[0]  # one row of ten
    assert (tmp_path / "exported" / "denoiser.onnx").is_file()
    printed = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text" in output
    ]
    differences = [text for text in printed if text.startswith("largest difference")]
    assert int(differences[0].split()[-3]) <= 2
