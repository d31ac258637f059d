"""The documents: their snippets run, and what they link to is there."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_snippets_of_library_md_run_one_after_another(tmp_path, monkeypatch):
    shutil.copy(ROOT / "tests" / "golden" / "denoiser.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(snippet, names)
    assert names["pixels"].shape == (2, 8, 8, 1)
    assert names["walk"].shape == (3, 8, 8, 1)
    assert (tmp_path / "two.png").exists()


def test_every_public_name_is_in_library_md():
    import kdiffusion

    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    missing = [name for name in kdiffusion.__all__ if not re.search(rf"\b{name}\b", text)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_links_to_is_there(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (document.parent / target).exists(), target
