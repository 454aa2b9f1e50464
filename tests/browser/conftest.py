"""What the browser tests share: Chromium, a Jupyter server, and notebooks in pages (see jupyter.py)."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.jupyter import PATIENCE, ROOT, Notebook, Server, start_server, stop_server

# SGI2V_CHROMIUM=/path/to/chrome names another one than the first of these
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDE = {"width": 1880, "height": 1240}  # a picture of 1024 x 576 px is shown pixel by pixel


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is marked `browser`, and may take as long as a busy machine takes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(4 * PATIENCE))


def chromium_path() -> str | None:
    named = os.environ.get("SGI2V_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, CHROMIUMS)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    path = chromium_path()
    if path is None:
        pytest.skip("there is no Chromium: install it (Debian: apt-get install chromium) or set SGI2V_CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A profile, in which pages may download and wait long; one, since its cache spares loading JupyterLab again."""
    context = browser.new_context(viewport=WIDE, accept_downloads=True, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE * 1000)
    yield context
    context.close()


@pytest.fixture(scope="session")
def server(browser: Browser, kernels_path: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter server; what still runs on it ends with it."""
    server = start_server(tmp_path_factory.mktemp("jupyter"), kernels_path)
    yield server
    stop_server(server)


@pytest.fixture(scope="session")
def open_notebook(
    server: Server, context: BrowserContext
) -> Callable[[str, Sequence[str], str], AbstractContextManager[Notebook]]:
    """`with open_notebook(name, cells, front_end) as notebook` writes one, opens and runs it; at the end it is closed.

    `front_end` is "lab" or "notebook" (Notebook 7).
    """

    @contextmanager
    def open_one(name: str, cells: Sequence[str], front_end: str) -> Iterator[Notebook]:
        file = server.write(f"{name}-{front_end}.ipynb", cells)
        notebook = Notebook(server, context.new_page(), file, front_end)
        try:
            yield notebook.open().run()
        finally:
            notebook.close()

    return open_one


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures of the screen go, to be looked at: out/screenshots, which git ignores."""
    folder = ROOT / "out" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
