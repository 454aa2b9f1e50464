"""Around the editor in JupyterLab: two on a page, slides, large pictures, a kernel that is restarted or crashes."""

import os

import numpy as np
import PIL.Image
import pytest

CELL = """
import PIL.Image, PIL.ImageDraw
from sgi2v_lab.widgets import TrajectoryEditor
pictures = [PIL.Image.new("RGB", (640, 360), colour) for colour in ("navy", "teal")]
PIL.ImageDraw.Draw(pictures[1]).ellipse((400, 180, 520, 300), fill="orange")
first, second = (TrajectoryEditor(picture, num_frames=8) for picture in pictures)
"""
NEAR = 2  # pixels of the picture


@pytest.fixture(scope="module")
def notebook(open_notebook):
    """Two editors on one page."""
    with open_notebook("two", [CELL, "first", "second"], "lab") as notebook:
        yield notebook


def editor(notebook, which):
    found = notebook.page.locator("[data-testid=trajectory-editor][data-ready]").nth(which)
    found.scroll_into_view_if_needed()
    return found


def draw(notebook, which, x0, y0, x1, y1):
    page, shown = notebook.page, editor(notebook, which)
    shown.get_by_test_id("tool-box").click()
    frame = shown.get_by_test_id("picture").bounding_box()
    at = [
        (frame["x"] + x * frame["width"] / 640, frame["y"] + y * frame["height"] / 360) for x, y in ((x0, y0), (x1, y1))
    ]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=4)
    page.mouse.up()


def drawn(name, box):
    """For `wait_for`: whether the last of the kernel's boxes is this one."""
    last = f"{name}.trajectories[-1].boxes(1)[0].sub(__import__('torch').tensor({box})).abs().max().item() <= {NEAR}"
    return f"len({name}.trajectories) > 0 and {last}"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A picture of more than 20 MiB, and its size."""
    path, size = tmp_path_factory.mktemp("large") / "large.png", (3000, 2500)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(path, compress_level=0)
    assert os.path.getsize(path) > 20 * 2**20
    return path, list(size)


def test_two_editors_on_one_page(notebook, screenshots):
    draw(notebook, 0, 100, 100, 200, 180)
    notebook.wait_for(drawn("first", [100, 100, 200, 180]))
    draw(notebook, 1, 300, 50, 400, 150)
    notebook.wait_for(drawn("second", [300, 50, 400, 150]))
    notebook.page.keyboard.press("Alt+ArrowRight")
    notebook.wait_for(drawn("second", [310, 50, 410, 150]))
    assert notebook.evaluate("(len(first.trajectories), len(second.trajectories))") == [1, 1]
    notebook.page.screenshot(path=screenshots / "two-editors.png")


def test_an_object_by_a_click(notebook, screenshots):
    places = []
    for which in range(2):
        shown = editor(notebook, which)
        shown.get_by_test_id("tool-box").click()
        frame = shown.get_by_test_id("picture").bounding_box()
        places.append((frame["x"] + 450 * frame["width"] / 640, frame["y"] + 230 * frame["height"] / 360))
        notebook.page.mouse.click(*places[-1])
        shown.get_by_text("so draw its box" if which == 0 else "Enter keeps this box").wait_for()
    notebook.page.screenshot(path=screenshots / "click.png")
    notebook.page.keyboard.press("Enter")
    notebook.wait_for("[round(side / 20) * 20 for side in second.trajectories[-1].keys[0].box]", [400, 180, 520, 300])
    assert notebook.evaluate("len(first.trajectories)") == 1


@pytest.mark.parametrize("style", ["zoom: 1.3", "transform: scale(0.8)"])
def test_a_scaled_slide(notebook, style, screenshots):
    editor(notebook, 1).evaluate("(e, style) => { e.parentElement.style = style; }", style)
    draw(notebook, 1, 300, 50, 400, 150)
    notebook.wait_for(drawn("second", [300, 50, 400, 150]))
    notebook.page.screenshot(path=screenshots / f"scaled-{style.split(':')[0]}.png")
    editor(notebook, 1).evaluate("(e) => { e.parentElement.style = ''; }")


def test_a_picture_of_20_mib_arrives_and_once_more(notebook, large):
    path, size = large
    shown = editor(notebook, 0)
    for again in range(2):
        shown.get_by_test_id("file").set_input_files(path)
        if not again:
            notebook.wait_for("first.image.size", size)
        shown.get_by_text("Opening large.png").wait_for(state="detached")
    shown.locator("img").evaluate("(e) => e.decode()")
    assert notebook.evaluate("len(first._picture)") < 4 * 2**20
    assert notebook.evaluate("second.image.size") == [640, 360]


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_a_kernel_that_is_gone_is_said_and_a_new_run_recovers(notebook, how, screenshots):
    page = notebook.page
    gone = page.get_by_test_id("gone").locator("visible=true")
    assert gone.count() == 0
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    if how == "restarted":
        page.evaluate(f"async () => {{ await {kernel}.restart(); }}")
    else:
        page.evaluate(f"() => {{ {kernel}.requestExecute({{code: 'import os; os._exit(1)'}}); }}")
        page.locator(".jp-Dialog .jp-mod-accept").click()  # "the kernel appears to have died"
        for which in range(2):
            editor(notebook, which).get_by_test_id("stage").click()
    for which in range(2):
        gone.nth(which).wait_for()
    page.screenshot(path=screenshots / f"kernel-{how}.png")
    notebook.idle().run()
    page.wait_for_function("() => document.querySelectorAll('[data-testid=gone][hidden]').length === 2")
    draw(notebook, 1, 300, 50, 400, 150)
    notebook.wait_for(drawn("second", [300, 50, 400, 150]))
