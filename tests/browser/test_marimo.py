"""The editor in marimo, which draws anywidgets in a shadow tree and talks to them by its own messages."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import PIL.Image
import pytest

from tests.browser.jupyter import PATIENCE, ROOT

pytest.importorskip("marimo")

SIZE = (640, 360)
NOTEBOOK = f"""
import marimo

app = marimo.App()


@app.cell
def _():
    import json
    from pathlib import Path

    import PIL.Image

    from sgi2v_lab.trajectories.json_format import to_json
    from sgi2v_lab.widgets import TrajectoryEditor

    def tell(_change):
        known = {{"drawn": json.loads(to_json(editor.trajectories)), "size": editor.image.size}}
        Path("kernel.part").write_text(json.dumps(known))
        Path("kernel.part").rename("kernel.json")

    editor = TrajectoryEditor(PIL.Image.new("RGB", {SIZE}, "navy"), num_frames=8)
    editor.observe(tell, ["trajectories", "_size"])
    editor
    return
"""


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """A dark page of marimo with the editor, on a screen of two pixels per CSS pixel."""
    folder = tmp_path_factory.mktemp("marimo")
    (folder / "editor.py").write_text(NOTEBOOK)
    (folder / "pyproject.toml").write_text('[tool.marimo.display]\ntheme = "dark"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "marimo", "run", "editor.py", "--headless", "--no-token", f"--port={port}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    context = browser.new_context(viewport={"width": 1400, "height": 1300}, device_scale_factor=2)
    context.set_default_timeout(PATIENCE * 1000)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"))
        page = context.new_page()
        page.folder = folder
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("[data-testid=trajectory-editor][data-ready]").wait_for()
        yield page
    finally:
        context.close()
        server.terminate()
        server.wait(30)


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=10).status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.05)


def kernel(page):
    """What the kernel last told of its editor."""
    file = page.folder / "kernel.json"
    return json.loads(file.read_text()) if file.exists() else {"drawn": {"trajectories": []}, "size": [*SIZE]}


def wait_for_boxes(page, *boxes):
    def there():
        drawn = [one["keys"][0]["box"] for one in kernel(page)["drawn"]["trajectories"]]
        return len(drawn) == len(boxes) and np.allclose(drawn, boxes, atol=2)

    wait_for(there)


def test_drawn_by_mouse_and_keys_and_undone(page, screenshots):
    page.get_by_test_id("tool-box").click()
    frame = page.get_by_test_id("picture").bounding_box()
    scale = frame["width"] / SIZE[0]
    page.mouse.move(frame["x"] + 100 * scale, frame["y"] + 100 * scale)
    page.mouse.down()
    page.mouse.move(frame["x"] + 200 * scale, frame["y"] + 180 * scale, steps=4)
    page.mouse.up()
    wait_for_boxes(page, [100, 100, 200, 180])
    page.keyboard.press("Alt+ArrowRight")
    wait_for_boxes(page, [110, 100, 210, 180])
    page.keyboard.press("n")
    wait_for_boxes(page, [110, 100, 210, 180], [240, 135, 400, 225])
    page.get_by_test_id("undo").click()
    wait_for_boxes(page, [110, 100, 210, 180])
    assert page.locator(".sg-editor").get_attribute("data-theme") == "dark"
    page.locator("[data-testid=object-1]").wait_for(state="detached")
    page.screenshot(path=screenshots / "marimo.png")


def test_a_picture_of_20_mib_arrives(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2500, 3000, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "large.png", compress_level=0)
    page.get_by_test_id("file").set_input_files(tmp_path / "large.png")
    wait_for(lambda: kernel(page)["size"] == [3000, 2500])
    page.get_by_text("Opening large.png").wait_for(state="detached")
