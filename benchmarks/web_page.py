"""Times the browser page: its first picture, a picture while a slider is dragged, all classes.

python benchmarks/web_page.py SITE --out docs/results/web_page.png

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

VIEWPORT = {"width": 1280, "height": 800}  # pixels
FINISHED = "#canvas[aria-busy=false]"  # hidden where all classes are shown
# When images were done, by the page's own clock: milliseconds since it was opened.
WATCH = """
window.done = [];
window.Worker = class extends Worker {
  constructor(...options) {
    super(...options);
    this.addEventListener("message", ({ data }) => {
      if (data.kind === "done") done.push(performance.now());
    });
  }
};
"""
# Drags the slider between two seeds for two seconds, at the screen's rate; milliseconds a picture.
DRAG = """() => new Promise((resolve) => {
  const at = document.getElementById("at");
  const [start, before] = [performance.now(), done.length];
  const move = () => {
    const seconds = (performance.now() - start) / 1000;
    if (seconds > 2) return resolve((done.at(-1) - start) / (done.length - before));
    at.value = seconds / 2;
    at.dispatchEvent(new Event("input", { bubbles: true }));
    requestAnimationFrame(move);
  };
  move();
})"""
# Changes one field and waits; milliseconds until the page has finished.
CHANGE = """([id, value]) => new Promise((resolve) => {
  const [field, start] = [document.getElementById(id), performance.now()];
  const observer = new MutationObserver(() => {
    if (canvas.ariaBusy !== "false") return;
    observer.disconnect();
    resolve(performance.now() - start);
  });
  observer.observe(canvas, { attributeFilter: ["aria-busy"] });
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
})"""


def _visit(browser, address, out):
    """Seconds: {what: one or several}."""
    page = browser.new_page(viewport=VIEWPORT)  # each with a cache of its own: nothing is at hand
    page.set_default_timeout(120_000)  # milliseconds
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_selector(FINISHED, state="attached")
    milliseconds = {"first picture, from opening the page": [page.evaluate("done[0]")]}
    # How long it took is this machine's, and no part of the picture.
    page.locator("#status").evaluate("element => element.style.visibility = 'hidden'")
    page.locator("body").screenshot(path=out)
    page.wait_for_timeout(3000)  # for the other workers
    classes = page.locator("#tiles li").count()
    milliseconds[f"all {classes} classes"] = [
        page.evaluate(CHANGE, ["seed", seed]) for seed in range(1, 4)
    ]
    page.select_option("#label", "0")
    page.wait_for_selector(FINISHED, state="attached")
    milliseconds["one class, another seed"] = [
        page.evaluate(CHANGE, ["seed", seed]) for seed in range(10, 20)
    ]
    milliseconds["a picture while the walk is dragged"] = [page.evaluate(DRAG)]
    print(f"{page.inner_text('#caption')}. {page.inner_text('#origin')}")
    page.close()
    return {name: np.array(times) / 1000 for name, times in milliseconds.items()}


def main(
    site: Annotated[Path, tyro.conf.Positional],
    query: str = "",
    visits: int = 5,
    out: Path = Path("web_page.png"),
):
    """Opens a site in Chromium, served from this machine, and says how long its pictures take.

    Args:
        site: folder that `python -m kdiffusion web` made.
        query: what the link asks for, such as `steps=4&guidance=0`, of all classes.
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
        times = [_visit(browser, address, out) for _ in range(visits)]
        browser.close()
        server.shutdown()
    for name in times[0]:
        seconds = np.concatenate([each[name] for each in times])
        print(f"{name}: {np.median(seconds):.3f} s ({seconds.min():.3f} to {seconds.max():.3f})")


if __name__ == "__main__":
    tyro.cli(main)
