"""The npm package, from its tarball: in Node, in Chromium, and by its types."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from kdiffusion.artifacts.released import released_models
from tests.conformance.vectors import FOLDER
from tests.conformance.web.canvas import pixels
from tests.examples.test_ports import EXAMPLES, assert_it_samples_the_ship, assert_the_ship

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[3] / "kdiffusion" / "parts" / "web" / "page"
NPM = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
TSC = ["--noEmit", "--target", "es2023", "--module", "nodenext", "--lib", "es2023,dom,dom.iterable"]
OWN = ["--checkJs", "--noImplicitAny", "false"]
CALLER = """
import * as ort from "onnxruntime-web/wasm";
import { open, type Choices } from "kdiffusion";
const model = await open(ort, new Uint8Array());
const choices: Choices = { label: "ship", %s };
for await (const { s, data, width } of model.steps(choices)) new ImageData(data, width + s);
export const width: number = (await model.draw()).width + model.card.class_names.length;
"""
REFUSED = """
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-node";
import { open } from "kdiffusion";
const file = await readFile("denoiser.onnx");
const model = await open(ort, file);
const said = (promise) => promise.then(() => "drawn", ({ message }) => message);
console.log(JSON.stringify([
  await said(open(ort, file.subarray(0, 100_000))),
  await said(model.draw({ seed: 2 ** 53 })),
  await said(model.draw({ steps: 1, timesteps: [999] })),
  await said(model.draw({ guidence: 2 })),
  await said(model.draw({ seed: 2n ** 53n + 1n, steps: 1 })),
]));
"""
NODE_EXAMPLE, PAGE_EXAMPLE, _ = re.findall(
    r"```js\n(.*?)```", (PAGE / "README.md").read_text(encoding="utf-8"), re.DOTALL
)
OWN_PAGE = f"""<!doctype html><canvas width=32 height=32></canvas><script type="importmap">
{{"imports": {{"kdiffusion": "./node_modules/kdiffusion/index.js",
"onnxruntime-web/wasm": "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs"}}}}</script>
<script type="module">{PAGE_EXAMPLE} document.body.ariaBusy = "false";</script>"""


@pytest.fixture(scope="module")
def project(find_program, tmp_path_factory):
    """A folder into which npm installed the packed package, and what its callers bring."""
    folder, npm = tmp_path_factory.mktemp("project"), find_program("npm", "npm")
    subprocess.run([npm, "pack", "--silent", PAGE], cwd=folder, check=True)
    (tarball,) = folder.glob("kdiffusion-*.tgz")
    assert tarball.stat().st_size < 20_000
    (folder / "package.json").write_text('{"type": "module"}')
    pinned = json.loads((PAGE / "package.json").read_text())["devDependencies"]["onnxruntime-web"]
    packages = [tarball, "onnxruntime-node", f"onnxruntime-web@{pinned}", "typescript"]
    subprocess.run([npm, "install", *NPM, *packages], cwd=folder, check=True)
    shutil.copy(released_models()["cifar10"], folder / "denoiser.onnx")
    return folder


def test_the_example_of_node_agrees_with_the_vectors(project, find_program):
    node = [find_program("node", "Node.js"), "sample.mjs"]
    shutil.copy(EXAMPLES / "node" / "sample.mjs", project)
    done = subprocess.run([*node, "--check", FOLDER], cwd=project, capture_output=True, text=True)
    assert done.stdout == "agrees with the vectors\n", done.stderr
    assert_it_samples_the_ship(node, project)


def test_the_readme_samples_in_node(project, find_program):
    (project / "readme.mjs").write_text(NODE_EXAMPLE, encoding="utf-8")
    subprocess.run([find_program("node", "Node.js"), "readme.mjs"], cwd=project, check=True)
    assert_the_ship(Image.open(project / "ship.ppm"))


@pytest.mark.browser
def test_the_readme_samples_in_a_page(project, serve, launch):
    (project / "own.html").write_text(OWN_PAGE, encoding="utf-8")
    with launch("--disable-gpu") as browser:
        page = browser.new_page()
        page.goto(f"{serve(project)}own.html")
        page.wait_for_selector("body[aria-busy=false]", timeout=120_000)
        assert_the_ship(pixels(page, "canvas"))


def test_its_types_hold_and_are_seen(project):
    def check(file, *options):
        command = [project / "node_modules" / ".bin" / "tsc", *TSC, *options, file]
        return subprocess.run(command, cwd=project, capture_output=True, text=True).stdout

    assert check(PAGE / "index.js", *OWN) == ""
    for name, choice, wrong in (
        ("good.ts", "seed: 7n", ""),
        ("type.ts", "seed: true", "'true' is not assignable"),
        ("name.ts", "sed: 7", "'sed' does not exist"),
    ):
        (project / name).write_text(CALLER % choice)
        said = check(name, "--strict", "--skipLibCheck")  # others' types are theirs
        assert wrong in said
        assert bool(said) is bool(wrong), said


def test_what_would_be_wrong_in_silence_is_refused(project, find_program):
    (project / "refused.mjs").write_text(REFUSED, encoding="utf-8")
    node = [find_program("node", "Node.js"), "refused.mjs"]
    done = subprocess.run(node, cwd=project, capture_output=True, text=True, check=True)
    cut, rounded, both, misspelt, drawn = json.loads(done.stdout)
    assert cut == "The model file is cut short: it ends after 100000 bytes"
    assert "“seed” above 2^53 - 1 must be a BigInt or a string" in rounded
    assert "“timesteps” must be left out, or “steps”" in both
    assert "guidence" in misspelt
    assert drawn == "drawn"
