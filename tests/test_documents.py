"""The documents: their snippets run, and what they link to is there."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdiffusion.commands import COMMANDS
from kdiffusion.commands.train import parse
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.schedules import SCHEDULES
from kdiffusion.runs.presets import PRESETS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_snippets_of_library_md_run_one_after_another(tmp_path, monkeypatch):
    shutil.copy(ROOT / "tests" / "golden" / "denoiser.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    # A row of one's own goes with the test: what was not there is removed again.
    monkeypatch.setitem(SAMPLERS, "euler", SAMPLERS["ddim"])
    monkeypatch.setitem(SCHEDULES, "straight", SCHEDULES["linear"])
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(snippet, names)
    assert names["pixels"].shape == (2, 8, 8, 1)
    assert SAMPLERS["euler"].step is names["euler"]
    assert names["walk"].shape == (3, 8, 8, 1)
    assert (tmp_path / "two.png").exists()


@pytest.mark.slow
def test_batches_of_your_own_train_as_data_md_says():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    from_generator, from_grain = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(from_generator, names)
    assert int(names["model"].optimizer.iterations) == 4
    exec(from_grain, names)
    assert int(names["model"].optimizer.iterations) == 4
    # A batch is a function of its step, whatever was read before; each time around in a new order.
    dataset, batch = names["dataset"], next(names["batches"](5))
    assert all(np.array_equal(part, again) for part, again in zip(batch, dataset[5], strict=True))
    around = len(names["data"].images) // 128
    assert not np.array_equal(dataset[0][1], dataset[around][1])


def test_every_public_name_is_in_library_md():
    import kdiffusion

    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    missing = [name for name in kdiffusion.__all__ if not re.search(rf"\b{name}\b", text)]
    assert missing == []


def _anchors(document):
    """The anchors of a document's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    texts = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_links_to_is_there(document):
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            path, _, anchor = target.partition("#")
            linked = document.parent / path if path else document
            assert linked.exists(), target
            assert not anchor or anchor in _anchors(linked), target


def _sentences(text):
    """The sentences of a document, without its code, tables, headings and addresses of links."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = "\n".join(line for line in text.split("\n") if not line.startswith(("|", "#", "!")))
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for block in re.split(r"\n\s*\n|\n(?=- )", text):
        yield from re.split(r"(?<=[.!?])\s+", " ".join(block.split()))


def test_the_readme_is_short_and_so_are_its_sentences():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 140
    lengths = sorted(len(sentence.split()) for sentence in _sentences(text) if sentence)
    assert lengths[int(0.9 * len(lengths))] <= 22


def test_the_commands_of_the_readme_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    named = re.findall(r"(?:-m )?kdiffusion (\w+)", shell)
    assert named
    assert set(named) <= set(COMMANDS)
    trainings = re.findall(r"^(?:\S*/)?python train\.py(.*?)(?:#.*)?$", shell, re.MULTILINE)
    assert len(trainings) > 5
    for arguments in map(shlex.split, trainings):
        if not {"--help", "--resume"} & set(arguments):  # those end the process, or need a run
            assert parse(arguments).config.preset in PRESETS


def test_the_drawing_snippet_of_the_readme_runs(tmp_path, monkeypatch):
    file = tmp_path / "runs" / "digits" / "export" / "denoiser.onnx"
    file.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "golden" / "denoiser.onnx", file)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    *_, snippet = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(snippet, names)
    assert names["images"].shape == (2, 8, 8, 1)


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", "docs/training.md"])
def test_training_snippets_run(document, tmp_path, monkeypatch):
    """With one epoch in the place of many; the second snippet opens what the first saved."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / document).read_text(encoding="utf-8").replace("epochs=50", "epochs=1")
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if "load_denoiser" not in snippet:  # tried above
            exec(snippet, {})
    assert (tmp_path / "exported" / "denoiser.onnx").is_file()
