"""Times the browser page, from opening it to its first and its next image, and photographs it.

python benchmarks/web_page.py SITE --query "" --out docs/results/web_page.png

Needs Playwright, of tests/requirements.txt, and Chromium.
"""

import functools
import http.server
import shutil
import threading
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from playwright.sync_api import sync_playwright

FINISHED = "#canvas[aria-busy=false]"  # hidden where all classes are shown
# The page's own clock, in milliseconds since it was opened: Playwright looks twice a second.
WATCH = """
const options = { subtree: true, attributeFilter: ["aria-busy"] };
new MutationObserver(([{ target }]) => {
  if (target.ariaBusy === "false") window.finishedAt = performance.now();
}).observe(document, options);
"""
GENERATE_AGAIN = """
window.askedAt = performance.now();
document.getElementById("generate").click();
"""
VIEWPORT = {"width": 1100, "height": 640}  # pixels


def _visit(browser, address, out):
    """Seconds from opening the page to its image, and what the next image takes."""
    page = browser.new_page(viewport=VIEWPORT)  # each with a cache of its own: nothing is at hand
    page.set_default_timeout(120_000)  # milliseconds
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_selector(FINISHED, state="attached")
    first = page.evaluate("window.finishedAt") / 1000
    # How long it took is this machine's, and no part of the picture.
    page.locator("#status").evaluate("element => element.style.visibility = 'hidden'")
    page.screenshot(path=out, full_page=True)
    page.evaluate(GENERATE_AGAIN)
    page.wait_for_selector(FINISHED, state="attached")
    following = page.evaluate("window.finishedAt - window.askedAt") / 1000
    print(f"{page.inner_text('#caption')}. {page.inner_text('#origin')}")
    page.close()
    return first, following


def main(
    site: Annotated[Path, tyro.conf.Positional],
    query: str = "label=0",
    visits: int = 5,
    out: Path = Path("web_page.png"),
):
    """Opens a site in Chromium, served from this machine, and says how long an image takes.

    Args:
        site: folder that `python -m kdiffusion web` made.
        query: what the link asks for; nothing for all classes.
        visits: how often it is opened.
        out: PNG of the page to write.
    """
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as p,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        address = f"http://127.0.0.1:{server.server_port}/?{query}"
        seconds = np.array([_visit(browser, address, out) for _ in range(visits)])
        browser.close()
        server.shutdown()
    for name, column in zip(("first", "next"), seconds.T, strict=True):
        print(f"{name} image: {column.min():.2f} to {column.max():.2f} s in {visits} visits")


if __name__ == "__main__":
    tyro.cli(main)
