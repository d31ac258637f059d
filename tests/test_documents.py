"""The documents: their snippets run, their commands parse, and what they link to is there."""

import functools
import re
import shlex
import shutil
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest

from kdiffusion.__main__ import call
from kdiffusion.commands import COMMANDS
from kdiffusion.commands.train import parse
from kdiffusion.diffusion.samplers import SAMPLERS
from tests.data.made_up import write_folder

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("pretrained/*/*.md")]
# The specification is formulas.
PAGES = [
    "README.md",
    *(f"docs/{path.stem}.md" for path in DOCS.glob("*.md") if path.stem != "spec"),
]
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def _blocks(document, language):
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    "document", ["README.md", "docs/sampling.md", "docs/edit.md", "docs/evaluation.md"]
)
def test_the_snippets_of_a_page_run_one_after_another(document, tmp_path, monkeypatch):
    """But for the README's that trains: see below."""
    file = tmp_path / "runs" / "digits" / "export" / "denoiser.onnx"
    file.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "golden" / "denoiser.onnx", file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SAMPLERS, "euler", SAMPLERS["ddim"])  # a page's row goes with the test
    names = {}
    for snippet in _blocks(document, "python"):
        if ".fit(" not in snippet:
            exec(snippet, names)
    assert names["denoiser"].card.class_names == tuple("0123456789")


@pytest.mark.slow
def test_a_network_of_your_own_is_trained_and_exported(tmp_path, monkeypatch, eagerly):
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in _blocks("docs/own_network.md", "python"):
        exec(snippet, names)
    assert names["images"].shape == (2, 8, 8, 1)


@pytest.mark.slow
def test_batches_of_your_own_train_as_data_md_says(tmp_path, monkeypatch, eagerly):
    """With a smaller network than the preset's, and a quicker optimizer."""
    loader, snippet = _blocks("docs/data.md", "python")
    monkeypatch.chdir(tmp_path)
    levels = {"black/1.png": 0, "white/1.png": 255}
    write_folder("my_images", {n: np.full((40, 40, 3), i, np.uint8) for n, i in levels.items()})
    loaded = {}
    exec(loader, loaded)
    ((images, labels),) = loaded["images"]
    np.testing.assert_array_equal(images[:, 0, 0, 0], 2 * labels - 1)
    small = '.replace(**{"optimizer.name": "adamw", "model.channel_multipliers": [1]})'
    preset, names = 'PRESETS["digits"]', {}
    assert preset in snippet
    exec(snippet.replace(preset, preset + small), names)
    assert int(names["model"].optimizer.iterations) == 4
    # A batch is a function of its step, whatever was read before; each time around in a new order.
    batches = names["dataset"].batch(128)
    batch = next(names["batches"](5))
    assert all(np.array_equal(part, again) for part, again in zip(batch, batches[5], strict=True))
    around = len(names["data"].images) // 128
    assert not np.array_equal(batches[0][1], batches[around][1])


def _anchors(document):
    """The anchors of a document's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    texts = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


@each_document
def test_what_a_document_links_to_is_there(document):
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            path, _, anchor = target.partition("#")
            linked = document.parent / path if path else document
            assert linked.exists(), target
            # The site has docs/ alone.
            assert not document.is_relative_to(DOCS) or linked.resolve().is_relative_to(DOCS)
            assert not anchor or anchor in _anchors(linked), target


def _sentences(text):
    """The sentences of a document, without its code, tables, headings and addresses of links."""
    text = re.sub(r"```.*?```|^---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = "\n".join(line for line in text.split("\n") if not line.startswith(("|", "#", "!")))
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:-|\d+\.) )", text):
        yield from re.split(r"(?<=[.!?])\s+", " ".join(block.split()))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_about_two_screens_of_short_sentences(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 140
    sentences = _sentences(text)
    lengths = sorted(len(sentence.split()) for sentence in sentences if sentence)
    assert lengths[int(0.9 * len(lengths))] <= 20


@each_document
def test_commands_are_as_they_are_called(document):
    shell = "\n".join(_blocks(document, "sh")).replace("\\\n", " ")
    shell = shell.replace("python train.py", "kdiffusion train")
    for line in re.findall(r"(?:^|-m |bin/)kdiffusion ([^&\n]*)", shell, re.MULTILINE):
        name, *options = shlex.split(line, comments=True)
        if {"--help-verbose", "--resume"} & {*options}:  # those end the process, or need a run
            continue
        if name == "train":
            parse(options)
        else:
            command = resolve_name(f"kdiffusion.{COMMANDS[name][0]}")
            call(functools.wraps(command)(lambda **_: None), options, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "name"),
    [("README.md", "onnx"), ("docs/train.md", "safetensors")],
)
def test_training_snippets_run(document, name, tmp_path, monkeypatch, eagerly):
    """A smaller network, for one epoch, in one format; a second snippet opens what was saved."""
    less = {
        "epochs=50": "epochs=1",
        "32, (1, 2)": "8, (1,), 1",
        '"exported")': f'"exported", ["{name}"])',
        "data.steps_per_epoch(128)": "1",
    }
    monkeypatch.chdir(tmp_path)
    for snippet in _blocks(document, "python"):
        if "load_denoiser" in snippet:  # tried above
            continue
        for text, instead in less.items():
            snippet = snippet.replace(text, instead)
        exec(snippet, {})
    assert (tmp_path / "exported" / f"denoiser.{name}").is_file()
