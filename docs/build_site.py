"""Builds the site of this folder, in which the notebooks of the course are pages, too.

    python docs/build_site.py serve

takes the commands and options of zensical. The pages that it is given are in `.site/`.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
PAGES = ROOT / ".site"


def main() -> None:
    """Writes the pages, and has zensical do what the arguments say."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    for notebook in PAGES.glob("course/*.ipynb"):
        content = nbformat.read(notebook, as_version=4)
        for cell in content.cells:
            if cell.cell_type == "markdown":
                cell.source = with_formulas(cell.source)
            for output in cell.get("outputs", ()):
                if "image/gif" in output.get("data", ()):  # nbconvert leaves it out; browsers don't
                    output.data["image/png"] = output.data.pop("image/gif")
        resources = {"output_files_dir": notebook.stem}  # each has images of these names
        text, resources = MarkdownExporter().from_notebook_node(content, resources)
        notebook.with_suffix(".md").write_text(text, encoding="utf-8")
        for name, image in resources["outputs"].items():
            (notebook.parent / name).parent.mkdir(exist_ok=True)
            (notebook.parent / name).write_bytes(image)
        notebook.unlink()
    for page in PAGES.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"(\]\([\w/]+)\.ipynb\)", r"\1.md)", text), encoding="utf-8")
    sys.exit(subprocess.call([sys.executable, "-m", "zensical", *sys.argv[1:]], cwd=ROOT))


def with_formulas(text: str) -> str:
    """Markdown whose formulas, between $ or $$, are MathML, which browsers draw by themselves."""
    text = re.sub(r"\$\$(.+?)\$\$", lambda m: mathml(m[1], "block"), text, flags=re.DOTALL)
    # In a span: at the start of a paragraph, Markdown would take it for a block.
    return re.sub(r"\$([^$]+)\$", lambda m: f"<span>{mathml(m[1], 'inline')}</span>", text)


def mathml(latex: str, display: str) -> str:
    """A formula, with what browsers leave out: letters of another style, a space after a name."""
    latex = latex.replace(r"\mathbb E", "𝔼").replace(r"\mathcal N", "𝒩")
    name = r"(<mi>(?:log|cos|sin|tanh)</mi>)(?=<mi>)"
    return re.sub(name, r'\1<mspace width="0.17em" />', convert(latex, display=display))


if __name__ == "__main__":
    main()
