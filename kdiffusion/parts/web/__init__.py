"""`python -m kdiffusion web MODEL --out FOLDER`: a page that samples in the browser."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from kdiffusion.artifacts import onnx_loader
from kdiffusion.artifacts.integrity import ArtifactError
from kdiffusion.artifacts.released import existing
from kdiffusion.atomic_files import staged
from kdiffusion.commands.inputs import Artifact
from kdiffusion.condition_images import factor_of

PAGE = Path(__file__).parent / "page"
MARK = ".kdiffusion-site"  # an empty file: a folder that holds it may be replaced
# package.json pins the version and package-lock.json its checksum.
_NPM_FILES = ("package.json", "package-lock.json")
_NOT_OF_THE_SITE = (*_NPM_FILES, "README.md", "index.d.ts")  # the folder is an npm package too
# ONNX Runtime without and with WebGPU: a browser loads only the pair that it can use.
_RUNTIME_FILES = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)


def write_site(
    artifact: str | os.PathLike,
    folder: str | os.PathLike,
    overwrite: bool = False,
    upsampler: str | os.PathLike | None = None,
) -> None:
    """Writes a site that samples from an exported network in the reader's browser.

    It holds the network with its card, the page and ONNX Runtime, which npm fetches once at a
    pinned version and then has in its cache.

    Args:
        artifact: path of an ONNX file with its card, or a pretrained model.
        folder: path of the folder to make.
        overwrite: bool. Whether an earlier site may be replaced. Defaults to `False`.
        upsampler: path of another such file, that makes the images larger where a visitor asks for
            it; or a pretrained model.

    Raises:
        ArtifactError: a file that is not ONNX, is damaged, has no usable card, or needs an image.
            An upsampler that doesn't make images of this size larger.
        FileExistsError: `folder` exists, and `overwrite` is False or it is not a site.
        OSError: npm is missing or could not fetch ONNX Runtime.
    """
    artifact = existing(artifact)
    _, card = onnx_loader.load(artifact)  # the page reads it as it is
    if card.image is not None:
        raise ArtifactError(f"{artifact} is conditioned on an image, which the page can't give it")
    with staged(folder, overwrite, MARK) as site:
        shutil.copytree(PAGE, site, ignore=shutil.ignore_patterns(*_NOT_OF_THE_SITE))
        shutil.copyfile(artifact, site / onnx_loader.ARTIFACT)
        if upsampler is not None:
            _add_upsampler(site, existing(upsampler), card.image_shape)
        _fetch_runtime(site / "runtime")
        (site / MARK).touch()


def _add_upsampler(site, file, small):
    _, card = onnx_loader.load(file)
    factor = factor_of(card.image.meaning) if card.image is not None else None
    height, width, channels = card.image_shape
    if factor is None or small != (height // factor, width // factor, channels):
        raise ArtifactError(f"{file} doesn't make images of {small[1]}x{small[0]} pixels larger")
    shutil.copyfile(file, site / "upsampler.onnx")
    page = site / "index.html"
    box = '<input name="large" type="checkbox" value="1" />'
    switch = f'<label class="check">{box} {width} × {height}</label>'
    page.write_text(page.read_text("utf-8").replace("<!-- larger -->", switch), "utf-8")


def _fetch_runtime(folder):
    """Puts ONNX Runtime for browsers into a new folder; npm checks what it fetches."""
    npm = shutil.which("npm") or "npm"  # npm.cmd on Windows
    with tempfile.TemporaryDirectory() as temporary:
        for name in _NPM_FILES:
            shutil.copy(PAGE / name, temporary)
        options = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
        done = subprocess.run(
            [npm, "ci", "--include=dev", *options],
            cwd=temporary,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(f"npm could not fetch ONNX Runtime for browsers: {done.stderr}")
        folder.mkdir()
        for name in _RUNTIME_FILES:
            shutil.copy(Path(temporary, "node_modules/onnxruntime-web/dist", name), folder)


def main(
    artifact: Artifact,
    out: Path = Path("site"),
    overwrite: bool = False,
    upsampler: str | None = None,
) -> None:
    """Makes a page that samples from an exported network in the browser: a folder of static files.

    Args:
        artifact: denoiser.onnx, or a pretrained model; no other format runs in a browser.
        out: folder to make.
        overwrite: replace an earlier site.
        upsampler: a model that makes the images larger, as PATH: the page gets a switch for it.
    """
    write_site(artifact, out, overwrite, upsampler)
    serve = f"python -m http.server --directory {shlex.quote(str(out))}"
    print(f"{out}: serve it, for example by `{serve}`,")
    print("then open http://localhost:8000")
