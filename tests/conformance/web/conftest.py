"""A site made by the command, served on this machine, and Chromium to visit it."""

import functools
import http.server
import shutil
import threading

import pytest
from playwright.sync_api import sync_playwright

from kdiffusion.diffusion.sampling import sample
from tests.conformance.web.canvas import RECORD, finished

HEADLESS = (
    "--no-sandbox", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",  # a container's /dev/shm may be too small for it
)  # fmt: skip


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` does, without its log."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def serve():
    """`serve(folder)`: its address on this machine."""
    servers = []

    def start(folder):
        handler = functools.partial(QuietHandler, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def site(exported, find_program, tmp_path_factory, run_python):
    """The folder that the command makes. Do not change it; copy it."""
    find_program("npm", "npm, which comes with Node.js")
    folder = tmp_path_factory.mktemp("web") / "site"
    done = run_python("-m", "kdiffusion", "web", exported["onnx"], "--out", folder)
    assert f"python -m http.server --directory {folder}" in done.stdout
    return folder


@pytest.fixture
def copy(site, tmp_path):
    """A copy of the site that a test may spoil."""
    return shutil.copytree(site, tmp_path / "site")


@pytest.fixture(scope="session")
def address(site, serve):
    """Where the site is served."""
    return serve(site)


@pytest.fixture(scope="session")
def launch(find_program):
    """`launch(*arguments)`: Chromium without a window."""
    chromium = find_program("chromium", "the browser Chromium")
    with sync_playwright() as driver:
        yield lambda *arguments: driver.chromium.launch(
            executable_path=chromium, args=[*HEADLESS, *arguments]
        )


@pytest.fixture(scope="session")
def browser(launch):
    """Chromium without WebGPU."""
    with launch("--disable-gpu") as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(browser):
    """`opened(address, **of the context)`: a page that must ask no other machine for anything.

    Nor may it write an error to the console, unless told `may_fail=True`.
    """
    errors, requests, contexts = [], [], []

    def open_page(address, may_fail=False, browser=browser, **context):
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)  # milliseconds; a busy machine is slow, not wrong
        page.add_init_script(RECORD)
        page.on("request", lambda request: requests.append(request.url))
        if not may_fail:
            page.on("console", lambda message: errors.append((message.type, message.text)))
            page.on("pageerror", lambda error: errors.append(("error", str(error))))
        page.goto(address)
        finished(page)
        if not may_fail:
            assert f"{address.split('?')[0]}denoiser.onnx" in requests  # the worker's are seen too
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for kind, text in errors if kind == "error"] == []
    assert all(url.startswith("http://127.0.0.1:") for url in requests)


@pytest.fixture(scope="module")
def page(opened, address):
    """The page, on all classes; `choose` sets what a test needs."""
    return opened(address, viewport={"width": 1280, "height": 800})


@pytest.fixture
def visit(opened):
    """As `opened`; the page is closed after the test."""
    pages = []

    def open_page(*arguments, **options):
        pages.append(opened(*arguments, **options))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def drawn_by_python(denoisers):
    """`drawn_by_python(label, seed, **options)`: the image of Python's loop, [H, W, 3]."""
    denoiser = denoisers["onnx"]
    return lambda label, seed, **options: sample(
        denoiser, [label], [seed], progress=False, **options
    )[0]
