"""The editor in the surroundings that front ends give it: scaled slides, shadow trees, pointers that get lost."""

import numpy as np
import PIL.Image
import pytest

from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.widgets import TrajectoryEditor
from tests.browser.alone import show_alone

SIZE = (640, 360)
BALL = Trajectory.move((100, 100, 200, 180), by=(200, 60), name="ball")
NEAR = 1.5  # pixels of the picture: the screen has whole pixels, at a scale that may be below one
SCALED = {
    "plain": "",
    "zoom 1.3": "zoom: 1.3",
    "zoom 0.7": "zoom: 0.7",
    "scale 1.3": "transform: scale(1.3); transform-origin: 0 0",
    "scale 0.6": "transform: translate(50px, 40px) scale(0.6); transform-origin: 10% 20%",
    "unequal": "transform: scale(1.2, 0.8); transform-origin: 0 0",
    "both": "zoom: 0.8; transform: scale(1.5); transform-origin: 0 0",
}


on_both_screens = pytest.mark.parametrize("page", [1, 2], indirect=True, ids="device scale {}".format)


@pytest.fixture
def page(browser, request):
    """An empty page, on a screen of twice the pixels, or as `on_both_screens` asks."""
    scale = getattr(request, "param", 2)
    page = browser.new_page(viewport={"width": 1700, "height": 1200}, device_scale_factor=scale)
    faults = []
    page.on("pageerror", lambda fault: faults.append(fault))
    yield page
    page.close()
    assert faults == []


def editor(*trajectories):
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    picture = np.stack([x / SIZE[0], y / SIZE[1], 0.5 + 0 * x], axis=-1)
    drawn = Trajectories(SIZE, trajectories)
    return TrajectoryEditor(PIL.Image.fromarray((255 * picture).astype("uint8")), drawn, num_frames=11)


def place(page, x, y):
    """Where a pixel of the picture is on the screen."""
    frame = page.get_by_test_id("picture").bounding_box()
    return frame["x"] + x * frame["width"] / SIZE[0], frame["y"] + y * frame["height"] / SIZE[1]


def drag(page, *points):
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=4)
    page.mouse.up()


def keys(page, index=0):
    """(key boxes, 4): as the kernel is told."""
    return np.array(page.evaluate(f"state._document.trajectories[{index}].keys.map((key) => key.box)"))


@pytest.mark.parametrize(("style", "page"), [*((name, 2) for name in SCALED), ("both", 1)], indirect=["page"])
def test_scaled_by_css(page, style):
    show_alone(page, editor(), f"<div style='width: 1000px; {SCALED[style]}'><div id=mount></div></div>")
    drag(page, (300, 50), (400, 150))
    assert np.abs(keys(page)[0] - [300, 50, 400, 150]).max() <= NEAR
    drag(page, (350, 100), (450, 200))
    assert np.abs(keys(page)[0] - [400, 150, 500, 250]).max() <= NEAR
    page.keyboard.press("p")
    drag(page, (450, 200), (200, 200), (200, 300))
    path = np.array(page.evaluate("state._document.trajectories[0].path"))
    assert np.abs(path[[0, -1]] - [(450, 200), (200, 300)]).max() <= NEAR
    key = page.get_by_test_id("key-0-1").bounding_box()
    track = page.locator(".sg-rows .sg-track").bounding_box()
    page.mouse.move(key["x"] + key["width"] / 2, key["y"] + key["height"] / 2)
    page.mouse.down()
    page.mouse.move(track["x"] + 0.5 * track["width"], key["y"], steps=3)
    page.mouse.up()
    assert page.evaluate("state._document.trajectories[0].keys[1].time") == pytest.approx(0.5)


def test_the_page_scrolls_under_a_drag(page):
    show_alone(page, editor(BALL), "<div style='height: 3000px'><div id=mount></div></div>")
    page.mouse.move(*place(page, 150, 140))
    page.mouse.down()
    page.evaluate("window.scrollTo(0, 100)")
    page.mouse.move(*place(page, 250, 240), steps=3)
    page.mouse.up()
    assert np.abs(keys(page)[0] - [200, 200, 300, 280]).max() <= NEAR


LOSE = "document.querySelector('[data-testid=%s]').releasePointerCapture(1)"


def test_a_lost_pointer_is_not_followed(page):
    show_alone(page, editor(BALL))
    page.mouse.move(*place(page, 150, 140))
    page.mouse.down()
    page.mouse.move(*place(page, 250, 240), steps=3)
    page.evaluate(LOSE % "stage")
    page.mouse.move(*place(page, 500, 300), steps=5)
    assert np.abs(keys(page)[0] - [200, 200, 300, 280]).max() <= NEAR
    assert float(page.locator(".sg-box").get_attribute("width")) > 0
    shown = page.locator(".sg-box").bounding_box()
    assert shown["x"] + shown["width"] / 2 == pytest.approx(place(page, 250, 240)[0], abs=3)
    page.mouse.up()
    drag(page, (250, 240), (150, 140))
    assert np.abs(keys(page)[0] - [100, 100, 200, 180]).max() <= NEAR


def test_a_button_that_comes_up_unseen_ends_the_drag(page):
    show_alone(page, editor(BALL))
    page.mouse.move(*place(page, 150, 140))
    page.mouse.down()
    page.mouse.move(*place(page, 250, 240), steps=3)
    x, y = place(page, 400, 300)
    bare = f"{{bubbles: true, pointerId: 1, clientX: {x}, clientY: {y}, buttons: 0}}"
    page.evaluate(
        f"document.querySelector('[data-testid=stage]').dispatchEvent(new PointerEvent('pointermove', {bare}))"
    )
    assert np.abs(keys(page)[0] - [200, 200, 300, 280]).max() <= NEAR
    page.mouse.up()


@pytest.mark.parametrize("end", ["lost", "cancelled"])
def test_a_key_in_time_whose_pointer_is_lost(page, end):
    show_alone(page, editor(BALL))
    key = page.get_by_test_id("key-0-1").bounding_box()
    track = page.locator(".sg-rows .sg-track").bounding_box()
    page.mouse.move(key["x"] + 10, key["y"] + 10)
    page.mouse.down()
    page.mouse.move(track["x"] + 0.5 * track["width"], key["y"], steps=3)
    if end == "lost":
        page.evaluate(LOSE % "key-0-1")
    else:
        cancel = "new PointerEvent('pointercancel', {bubbles: true, pointerId: 1})"
        page.evaluate(f"document.querySelector('[data-testid=key-0-1]').dispatchEvent({cancel})")
    page.mouse.move(track["x"] + 0.2 * track["width"], key["y"], steps=3)
    page.mouse.up()
    time = 0.5 if end == "lost" else 1
    assert page.evaluate("state._document.trajectories[0].keys[1].time") == pytest.approx(time)
    page.get_by_test_id("stage").focus()
    page.keyboard.press("n")  # drawn at once: nothing is being dragged
    assert page.locator(".sg-rows .sg-row").count() == 2


COLOURS = {"white": "light", "#181818": "dark", "oklch(0.98 0 0)": "light", "color(srgb 0.1 0.1 0.1)": "dark"}


@pytest.mark.parametrize("background", COLOURS)
def test_in_a_shadow_tree(page, background):
    """As marimo shows widgets: the document sees only the host of the focus, of events, and of the background."""
    html = f"<div style='background: {background}'><div id=mount></div></div>"
    show_alone(page, editor(BALL), html, shadow=True)
    page.evaluate("window.leaked = []; document.addEventListener('keydown', (event) => leaked.push(event.key), true)")
    assert page.locator(".sg-editor").get_attribute("data-theme") == COLOURS[background]
    page.get_by_test_id("stage").focus()
    for key in ("n", "ArrowRight", "k", "Delete"):
        page.keyboard.press(key)
    assert page.evaluate("state._document.trajectories.length") == 1
    assert page.evaluate("leaked") == []
    page.get_by_test_id("name-0").click()
    field = page.get_by_test_id("name")
    field.fill("a balloon")
    page.evaluate("hear('frame', 3)")  # what the kernel says does not write over what is being typed
    assert field.input_value() == "a balloon"
    drag(page, (210, 160), (260, 210))
    assert len(keys(page)) == 3


def answer(page, box):
    """The kernel has found an object."""
    asked = page.evaluate("sent.findLast((each) => each.kind === 'object')")
    page.evaluate(f"tell('msg:custom', {{kind: 'object', asked: {asked['asked']}, box: {list(box)}}}, [])")
    return asked["at"]


@on_both_screens
def test_an_object_by_a_click(page):
    show_alone(page, editor(BALL))
    document = page.evaluate("state._document")
    status = page.get_by_test_id("status")
    page.get_by_test_id("tool-box").click()
    page.mouse.click(*place(page, 400, 200))
    assert "Looking for the object" in status.inner_text()
    assert answer(page, (380, 150, 460, 240)) == pytest.approx([400, 200], abs=1)
    assert "Enter keeps this box" in status.inner_text()
    assert page.locator(".sg-object").count() == 2
    assert page.evaluate("state._document") == document, "it is nobody's yet"
    proposed = page.locator(".is-proposed")
    assert proposed.text_content() == "Enter keeps it"
    page.keyboard.press("Enter")
    assert proposed.count() == 0
    assert np.abs(keys(page, 1)[0] - [380, 150, 460, 240]).max() == 0
    assert status.inner_text() == ""


def test_a_proposed_box_is_corrected_by_dragging(page):
    show_alone(page, editor())
    page.mouse.click(*place(page, 400, 200))
    answer(page, (380, 150, 460, 240))
    corner = page.get_by_test_id("resize-se").bounding_box()
    page.mouse.move(corner["x"] + 4.5, corner["y"] + 4.5)
    page.mouse.down()
    page.mouse.move(*place(page, 500, 300), steps=3)
    page.mouse.up()
    assert np.abs(keys(page)[0] - [380, 150, 500, 300]).max() <= NEAR


@pytest.mark.parametrize("how", ["Escape", "Control+z", "b", "elsewhere", "kernel"])
def test_a_proposed_box_is_dropped(page, how):
    show_alone(page, editor(BALL))
    document = page.evaluate("state._document")
    page.get_by_test_id("tool-box").click()
    page.mouse.click(*place(page, 400, 200))
    answer(page, (380, 150, 460, 240))
    if how == "elsewhere":
        page.mouse.click(*place(page, 600, 340))
    elif how == "kernel":
        page.evaluate("tell('change:_document')")
    else:
        page.keyboard.press(how)
    assert page.locator(".sg-object").count() == 1
    assert page.evaluate("state._document") == document
    page.keyboard.press("n")
    assert page.evaluate("state._document.trajectories.length") == 2


def test_an_answer_that_is_no_longer_wanted(page):
    show_alone(page, editor(BALL))
    page.get_by_test_id("tool-box").click()
    page.mouse.click(*place(page, 400, 200))
    page.keyboard.press("v")
    answer(page, (380, 150, 460, 240))
    assert page.locator(".sg-object").count() == 1


def test_an_object_by_the_keyboard(page):
    show_alone(page, editor())
    page.get_by_test_id("stage").focus()
    for key in ("b", *["Alt+ArrowRight"] * 8, "ArrowUp", "Enter"):
        page.keyboard.press(key)
    assert answer(page, (380, 150, 460, 240)) == [400, 179]
    page.keyboard.press("ArrowDown")
    assert np.abs(keys(page)[0] - [380, 151, 460, 241]).max() == 0


def test_a_file_goes_in_parts(page, tmp_path):
    show_alone(page, editor())
    (tmp_path / "large.png").write_bytes(bytes(20 * 2**20 + 5))
    page.get_by_test_id("file").set_input_files(tmp_path / "large.png")
    page.wait_for_function("sent.length === 6")
    sent = page.evaluate("sent")
    assert sum(size for each in sent for size in each["sizes"]) == 20 * 2**20 + 5
    assert max(size for each in sent for size in each["sizes"]) < 10 * 2**20
    assert [each["parts"] for each in sent] == [6] * 6
    assert len({each["upload"] for each in sent}) == 1
    assert "Opening large.png" in page.get_by_test_id("status").inner_text()
    page.evaluate("tell('msg:custom', {kind: 'opened'}, [])")
    assert page.get_by_test_id("status").inner_text() == ""


def test_a_file_that_is_far_too_large_is_refused_at_once(page, tmp_path):
    show_alone(page, editor())
    with (tmp_path / "film.png").open("wb") as file:
        file.truncate(300 * 2**20)
    page.get_by_test_id("file").set_input_files(tmp_path / "film.png")
    page.get_by_text("film.png has 300 MiB: expected at most 256").wait_for()
    assert page.evaluate("sent") == []
