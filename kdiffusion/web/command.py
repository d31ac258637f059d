"""`python -m kdiffusion web ARTIFACT`: a page that samples in the browser, as static files."""

import shlex
from pathlib import Path

from kdiffusion.commands.sampling_flags import Artifact

from .site import write_site


def main(
    artifact: Artifact,
    out: Path = Path("site"),
    overwrite: bool = False,
) -> None:
    """Makes a page that draws with an exported network in the browser: a folder of static files.

    Args:
        artifact: denoiser.onnx, or a released model; no other format runs in a browser.
        out: folder to make.
        overwrite: replace an earlier site.
    """
    write_site(artifact, out, overwrite)
    serve = f"python -m http.server --directory {shlex.quote(str(out))}"
    print(f"{out}: serve it, for example by `{serve}`,")
    print("then open http://localhost:8000")
