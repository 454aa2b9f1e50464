"""The trajectory editor in JupyterLab and in Notebook 7: what is drawn with mouse and keys is what the kernel has."""

import base64
import json

import numpy as np
import pytest

from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.json_format import to_json
from sgi2v_lab.trajectories.trajectory import Trajectory
from tests.browser.jupyter import FRONT_ENDS, in_lab

SIZE = (1024, 576)
CELL = f"""
import numpy, PIL.Image
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.json_format import from_json, to_json
from sgi2v_lab.widgets import TrajectoryEditor

y, x = numpy.mgrid[: {SIZE[1]}, : {SIZE[0]}]
hills = 120 + 60 * numpy.sin(x / 90) * numpy.cos(y / 70)
image = PIL.Image.fromarray(numpy.stack([hills, 0.8 * hills + 30, 255 - hills], axis=-1).astype("uint8"))
editor = TrajectoryEditor(image)
told = []
editor.observe(lambda change: told.append(1), "_document")

def restart(text=None):
    editor.trajectories = from_json(text) if text else Trajectories(image.size)
    editor.selected, editor.frame = -1, 0
    editor._forget()
    told.clear()

editor
"""
NEAR = 2  # pixels of the picture
DROP = """async (stage, [name, content]) => {
  const bytes = await (await fetch(`data:;base64,${content}`)).arrayBuffer();
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  stage.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
}"""


@pytest.fixture(scope="module", params=FRONT_ENDS)
def notebook(open_notebook, request):
    """The editor in JupyterLab, then in Notebook 7."""
    with open_notebook("editor", [CELL], request.param) as notebook:
        notebook.widget("trajectory-editor")
        yield notebook


class Hand:
    """A hand on the mouse, in pixels of the picture."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page

    def screen(self, x, y):
        frame = self.notebook.find("picture").bounding_box()
        return frame["x"] + x * frame["width"] / SIZE[0], frame["y"] + y * frame["height"] / SIZE[1]

    def drag(self, *points, steps=6):
        first, *rest = points
        self.page.mouse.move(*self.screen(*first))
        self.page.mouse.down()
        for point in rest:
            self.page.mouse.move(*self.screen(*point), steps=steps)
        self.page.mouse.up()

    def click(self, x, y):
        self.page.mouse.click(*self.screen(x, y))


@pytest.fixture
def hand(notebook):
    """The editor with nothing drawn."""
    notebook.page.keyboard.press("Escape")
    notebook.start_over()
    return Hand(notebook)


def boxes(notebook, index=0, frames=14):
    """(frames, 4): the boxes that the kernel has."""
    return np.array(notebook.evaluate(f"editor.trajectories[{index}].boxes({frames}).tolist()"))


def draw_box(notebook, hand, x0, y0, x1, y1):
    count = notebook.evaluate("len(editor.trajectories)")
    notebook.find("tool-box").click()
    hand.drag((x0, y0), (x1, y1))
    notebook.wait_for("len(editor.trajectories)", count + 1)


def test_box_and_path_are_what_was_drawn(notebook, hand):
    draw_box(notebook, hand, 200, 150, 360, 290)
    assert np.abs(boxes(notebook)[0] - [200, 150, 360, 290]).max() <= NEAR
    notebook.find("tool-path").click()
    way = [(280, 220), (420, 180), (600, 300), (700, 420)]
    hand.drag(*way)
    notebook.wait_for("editor.trajectories[0].path is not None")
    found = boxes(notebook, frames=61)
    centres = (found[:, :2] + found[:, 2:]) / 2
    asked = Trajectory.along((200, 150, 360, 290), way).boxes(61).numpy()
    assert np.abs(centres - (asked[:, :2] + asked[:, 2:]) / 2).max() <= NEAR
    assert np.abs(found[-1] - asked[-1]).max() <= NEAR


@in_lab
def test_a_drag_is_one_message_and_one_step_of_undo(notebook, hand):
    draw_box(notebook, hand, 200, 150, 300, 250)
    notebook.evaluate("told.clear()")
    hand.drag((250, 200), (400, 300), (500, 250), steps=30)
    notebook.wait_for("editor.trajectories[0].keys[0].box[0] > 400")
    assert notebook.evaluate("len(told)") == 1
    assert np.abs(boxes(notebook)[0] - [450, 200, 550, 300]).max() <= NEAR
    notebook.find("undo").click()
    notebook.wait_for("editor.trajectories[0].keys[0].box[0] < 210")
    notebook.page.keyboard.press("Control+z")
    notebook.wait_for("len(editor.trajectories)", 0)
    notebook.page.keyboard.press("Control+Shift+z")
    notebook.page.keyboard.press("Control+Shift+z")
    notebook.wait_for("len(editor.trajectories) and editor.trajectories[0].keys[0].box[0] > 400")


@in_lab
def test_key_boxes_have_place_and_size(notebook, hand):
    draw_box(notebook, hand, 100, 100, 200, 200)
    notebook.find("frame").evaluate(
        "(e) => { e.value = 13; for (const n of ['input', 'change']) e.dispatchEvent(new Event(n)); }"
    )
    hand.drag((150, 150), (450, 350))
    notebook.wait_for("len(editor.trajectories[0].keys)", 2)
    corner = notebook.find("resize-se").bounding_box()
    notebook.page.mouse.move(corner["x"] + 4.5, corner["y"] + 4.5)
    notebook.page.mouse.down()
    notebook.page.mouse.move(*hand.screen(560, 480), steps=5)
    notebook.page.mouse.up()
    notebook.wait_for("editor.trajectories[0].keys[1].box[2] > 550")
    found = boxes(notebook)
    assert np.abs(found[0] - [100, 100, 200, 200]).max() <= NEAR
    assert np.abs(found[-1] - [400, 300, 560, 480]).max() <= NEAR
    notebook.find("easing").select_option("ease-in-out")
    notebook.wait_for("editor.trajectories[0].easing", "ease-in-out")
    notebook.find("key-0-1").focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.wait_for("round(editor.trajectories[0].keys[1].time * 13)", 12)
    notebook.find("pin").click()
    notebook.wait_for("editor.trajectories[0].pinned")


@in_lab
def test_way_points_by_clicks(notebook, hand):
    draw_box(notebook, hand, 100, 100, 200, 200)
    notebook.find("tool-points").click()
    for place in ((400, 150), (500, 300)):
        hand.click(*place)
    notebook.page.keyboard.press("Enter")
    notebook.wait_for("len(editor.trajectories[0].path or ())", 3)
    assert (
        np.abs(np.array(notebook.evaluate("editor.trajectories[0].path")) - [(150, 150), (400, 150), (500, 300)]).max()
        <= NEAR
    )


@in_lab
def test_without_a_mouse(notebook, hand):
    page = notebook.page
    notebook.find("stage").focus()
    page.keyboard.press("n")
    notebook.wait_for("len(editor.trajectories)", 1)
    start = boxes(notebook)[0]
    for keys in ("ArrowRight", "ArrowRight", "Alt+ArrowDown", "Shift+ArrowRight"):
        page.keyboard.press(keys)
    notebook.wait_for("list(editor.trajectories[0].keys[0].box)", (start + np.array([2, 10, 3, 10])).tolist())
    page.keyboard.press("End")
    page.keyboard.press("Alt+ArrowLeft")
    notebook.wait_for("len(editor.trajectories[0].keys)", 2)
    page.keyboard.press("n")
    notebook.wait_for("len(editor.trajectories)", 2)
    page.keyboard.press("Shift+Tab")
    notebook.wait_for("editor.selected", 0)
    page.keyboard.press("w")
    for keys in (*["Alt+ArrowUp"] * 6, "Enter", *["Alt+ArrowRight"] * 5, "Enter", "Enter"):
        page.keyboard.press(keys)
    notebook.wait_for("len(editor.trajectories[0].path or ())", 3)
    page.keyboard.press("Tab")
    notebook.wait_for("editor.selected", 1)
    page.keyboard.press("Delete")
    notebook.wait_for("len(editor.trajectories)", 1)
    page.keyboard.press("Control+z")
    notebook.wait_for("len(editor.trajectories)", 2)
    assert page.locator(".jp-Notebook .jp-Cell").count() == 1  # the letters were the editor's, not the notebook's


@in_lab
def test_what_is_wrong_is_said_in_place(notebook, hand):
    notebook.find("tool-box").click()
    hand.drag((-14, 300), (-4, 340))
    notebook.wait_for("[remark.kind for remark in editor.remarks]", ["error"])
    notebook.page.get_by_text("wholly outside the picture").wait_for()
    notebook.page.keyboard.press("Delete")
    notebook.wait_for("len(editor.trajectories)", 0)
    draw_box(notebook, hand, 500, 300, 505, 306)
    notebook.page.get_by_text("less than one latent cell").wait_for()


@in_lab
def test_warnings_come_while_drawing(notebook, hand):
    draw_box(notebook, hand, 400, 200, 500, 300)
    page = notebook.page
    page.mouse.move(*hand.screen(450, 250))
    page.mouse.down()
    page.mouse.move(*hand.screen(1020, 250), steps=10)
    for i in range(100):  # the pointer lingers, as a hand does; the kernel is asked now and then
        page.mouse.move(*hand.screen(1020, 250 + i % 2))
        if "outside in the first frame" in notebook.find("status").inner_text():
            break
        page.wait_for_timeout(50)
    assert "outside in the first frame" in notebook.find("status").inner_text()
    assert notebook.evaluate("editor.trajectories[0].keys[0].box[0] < 410"), "sent before the pointer was let go"
    page.mouse.up()
    notebook.wait_for("editor.trajectories[0].keys[0].box[0] > 900")


@in_lab
def test_python_draws_too(notebook, hand):
    text = to_json(Trajectories(SIZE, (Trajectory.move((10, 10, 90, 70), by=(300, 200), name="from Python"),)))
    notebook.evaluate(f"restart({text!r})")
    notebook.find("object-0").wait_for()
    notebook.find("name-0").click()
    assert notebook.find("name").input_value() == "from Python"
    notebook.evaluate("setattr(editor, 'frame', 13)")
    notebook.page.wait_for_function("() => document.querySelector('[data-testid=box-x]').value === '310'")


@in_lab
def test_play_moves_the_boxes(notebook, hand):
    text = to_json(Trajectories(SIZE, (Trajectory.move((10, 10, 90, 70), by=(300, 200)),)))
    notebook.evaluate(f"restart({text!r})")
    rect = notebook.page.locator("[data-testid=object-0] .sg-box")
    rect.wait_for()
    notebook.find("play").click()
    places = set()
    for _ in range(400):
        places.add(rect.get_attribute("x"))
        if len(places) > 4:
            break
        notebook.page.wait_for_timeout(20)
    notebook.find("stage").focus()
    notebook.page.keyboard.press("Space")
    assert len(places) > 4
    assert notebook.evaluate("len(told)") == 0  # playing changes nothing


@in_lab
def test_camera_menu(notebook, hand):
    draw_box(notebook, hand, 450, 230, 570, 340)
    notebook.find("menu-camera").click()
    notebook.find("camera-zoom-in").click()
    notebook.wait_for("len(editor.trajectories) > 5 and editor.trajectories[1].name", "zoom 1")
    notebook.find("camera-none").click()
    notebook.wait_for("len(editor.trajectories)", 1)
    notebook.page.keyboard.press("Escape")


@in_lab
def test_files_out_and_in(notebook, hand, tmp_path):
    draw_box(notebook, hand, 100, 120, 260, 240)
    for kind in ("json", "npy"):
        notebook.find("menu-save").click()
        with notebook.page.expect_download() as waiting:
            notebook.find(f"save-{kind}").click()
        waiting.value.save_as(tmp_path / f"drawn.{kind}")
    assert np.load(tmp_path / "drawn.npy").shape == (1, 16, 2)
    assert json.loads((tmp_path / "drawn.json").read_text())["image"] == {"width": SIZE[0], "height": SIZE[1]}
    for name in ("drawn.npy", "drawn.json"):
        notebook.evaluate("restart()")
        notebook.find("file").set_input_files(tmp_path / name)
        notebook.wait_for("len(editor.trajectories)", 1)
        assert np.abs(boxes(notebook)[5] - [100, 120, 260, 240]).max() <= NEAR
    track = np.array([[[180, 180], [300, 200], [500, 300]]])
    np.save(tmp_path / "tracks.npy", track)
    spline = json.dumps([{"x": x, "y": y} for x, y in track[0].tolist()])
    (tmp_path / "spline.txt").write_text(spline)
    notebook.evaluate("restart()")
    notebook.find("file").set_input_files(tmp_path / "spline.txt")
    notebook.page.get_by_text("spline.txt holds point tracks").wait_for()
    draw_box(notebook, hand, 100, 120, 260, 240)
    for name in ("tracks.npy", "spline.txt"):  # with boxes as large as the selected one
        content = base64.b64encode((tmp_path / name).read_bytes()).decode()
        notebook.find("stage").evaluate(DROP, [name, content])
        notebook.wait_for("len(editor.trajectories[0].keys)", 3)
        assert np.abs(boxes(notebook)[-1] - [420, 240, 580, 360]).max() <= NEAR
        notebook.find("undo").click()
        notebook.wait_for("len(editor.trajectories[0].keys)", 1)
    (tmp_path / "broken.json").write_text("{")
    notebook.find("file").set_input_files(tmp_path / "broken.json")
    notebook.page.get_by_text("broken.json: invalid JSON at line 1").wait_for()


FIVE = Trajectories(
    SIZE,
    (
        Trajectory.move(
            (180, 90, 330, 210), by=(430, 110), via=[(420, 90), (560, 190)], name="kite", easing="ease-in-out"
        ),
        Trajectory.move((640, 330, 780, 470), to=(800, 380, 880, 460), name="buoy"),
        Trajectory.pin((420, 420, 560, 520), name="rock"),
        Trajectory.move((90, 380, 190, 480), by=(160, -60), name="boat", start=0.2, end=0.8),
        Trajectory.move((860, 90, 960, 170), by=(-120, 40), name="gull", easing="ease-out"),
    ),
)


@in_lab
def test_the_pointer_is_followed_at_once(notebook, hand):
    """From the pointer's event until the drawing is changed: under 16 ms in the median, with five objects.

    A busy machine lets events wait before any code of a page runs. So the editor's own share is held to the bound
    always, and the whole way where the machine is quiet enough to tell.
    """
    notebook.evaluate(f"restart({to_json(FIVE)!r})")
    notebook.find("object-4").wait_for()
    page = notebook.page
    if notebook.front_end == "lab":  # as wide as the picture; Notebook 7 keeps its page narrower
        assert notebook.find("picture").bounding_box()["width"] == pytest.approx(SIZE[0], abs=8)
    page.evaluate("() => { document.querySelector('.sg-editor').dataset.measure = '1'; performance.clearMeasures(); }")
    page.mouse.move(*hand.screen(250, 150))
    page.mouse.down()
    for i in range(80):
        page.mouse.move(*hand.screen(250 + 3 * i, 150 + i))
    page.mouse.up()
    measured = page.evaluate("() => performance.getEntriesByName('sgi2v-drag').map((e) => [e.duration, e.detail])")
    page.evaluate("() => delete document.querySelector('.sg-editor').dataset.measure")
    whole, own = np.median(measured, axis=0)
    print(f"drag latency over {len(measured)} moves, median: {whole:.1f} ms, of which the editor {own:.1f} ms")
    assert len(measured) >= 20
    assert own < 16
    assert whole < 16 or whole - own > 8, "the machine is quiet, and still the drawing lags behind"


def test_a_reloaded_page_shows_it_again(notebook, hand, screenshots):
    notebook.evaluate(f"restart({to_json(FIVE)!r})")
    notebook.evaluate("[setattr(editor, 'selected', 0), setattr(editor, 'frame', 4)]")
    notebook.find("object-4").wait_for()
    notebook.reload()
    notebook.widget("trajectory-editor")
    notebook.find("object-4").wait_for()
    assert notebook.find("name").input_value() == "kite"
    assert notebook.find("frame-count").inner_text() == "5 / 14"
    hand.drag((490, 470), (520, 450))
    notebook.wait_for("len(editor.trajectories[2].keys)", 2)
    notebook.find("undo").click()
    notebook.wait_for(f"to_json(editor.trajectories) == {to_json(FIVE)!r}")


@in_lab
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pictures_of_it(notebook, hand, screenshots, theme):
    """Saved to be looked at; here only that the theme is followed."""
    notebook.theme(f"JupyterLab {theme}")
    editor = notebook.find("trajectory-editor")
    notebook.page.wait_for_function(f"() => document.querySelector('.sg-editor').dataset.theme === '{theme.lower()}'")
    editor.screenshot(path=screenshots / f"editor-empty-{theme.lower()}.png")
    notebook.evaluate(f"restart({to_json(FIVE)!r})")
    notebook.evaluate("[setattr(editor, 'frame', 4)]")
    notebook.find("object-4").focus()
    notebook.page.keyboard.press("Shift+Tab")
    notebook.wait_for("editor.selected", 3)
    editor.screenshot(path=screenshots / f"editor-{theme.lower()}.png")
    notebook.page.screenshot(path=screenshots / f"editor-in-{theme.lower()}.png")
    ink, surface = editor.evaluate("(e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
    dark, light = ([sum(map(float, c[c.index("(") + 1 : -1].split(",")[:3])) for c in (ink, surface)])[
        :: 1 if theme == "Light" else -1
    ]
    assert dark + 300 < light
