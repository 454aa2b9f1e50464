"""The Studio in JupyterLab: draw, set, generate, look, reload, cancel, by keys too.

A random model is quick; the trained toy is chosen in the menu where there should be something to see.
"""

import numpy as np
import pytest

from sgi2v_lab.trajectories.trajectory import Trajectory

SIZE = (512, 256)  # of the picture; the video is the model's
CELL = f"""
import tempfile
import numpy, PIL.Image
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.trajectories.json_format import from_json, to_json
from sgi2v_lab.widgets import Studio
from tests.helpers.tiny import tinier_model

y, x = numpy.mgrid[: {SIZE[1]}, : {SIZE[0]}]
hills = 120 + 60 * numpy.sin(x / 60) * numpy.cos(y / 45)
image = PIL.Image.fromarray(numpy.stack([hills, 0.8 * hills + 30, 255 - hills], axis=-1).astype("uint8"))
BALL = Trajectory.move((3, 36, 59, 92), by=(60, 0), name="ball")
tiny = tinier_model()
studio = Studio(tiny, image, folder=tempfile.mkdtemp())
parts = []
studio.observe(lambda change: parts.append(change["new"]["fraction"]), "_job")

def restart(**settings):
    studio.cancel()
    studio.wait()
    studio.error = ""
    if studio.model is not tiny:
        studio._adopt(tiny, tiny.name)
    studio.image = image
    studio.trajectories = Trajectories(image.size)
    studio.use_preset("own")
    studio.change(**settings)
    studio._forget()
    parts.clear()

studio
"""
NEAR = 2  # pixels of the picture
LONG = {"iterations": 1000, "num_inference_steps": 4}  # nobody waits for this one


@pytest.fixture(scope="module")
def notebook(open_notebook):
    with open_notebook("studio", [CELL], "lab") as notebook:
        notebook.widget("studio")
        yield notebook


class Hand:
    """A hand on the mouse, in pixels of the picture."""

    def __init__(self, notebook):
        self.notebook, self.mouse = notebook, notebook.page.mouse

    def drag(self, *points):
        notebook = self.notebook
        notebook.find("picture").scroll_into_view_if_needed()
        frame = notebook.find("picture").bounding_box()
        places = [
            (frame["x"] + x * frame["width"] / SIZE[0], frame["y"] + y * frame["height"] / SIZE[1]) for x, y in points
        ]
        self.mouse.move(*places[0])
        self.mouse.down()
        for place in places[1:]:
            self.mouse.move(*place, steps=6)
        self.mouse.up()


@pytest.fixture
def hand(notebook):
    """The Studio with nothing drawn, the model's settings, nothing under way."""
    notebook.start_over()
    notebook.evaluate("setattr(studio, '_shown', '')")
    return Hand(notebook)


def draw(notebook, hand, box=(60, 60, 160, 150)):
    notebook.find("tool-box").click()
    hand.drag(box[:2], box[2:])
    notebook.wait_for("len(studio.trajectories)", 1)


def finished(notebook, state="done"):
    notebook.wait_for("studio._job['state']", state)
    assert notebook.evaluate("studio.error") == ""


def watch_progress(notebook):
    notebook.page.evaluate(
        """() => { const bar = document.querySelector("[data-testid=progress]"); window.bars = [];
        new MutationObserver(() => window.bars.push(Number(bar.ariaValueNow))).observe(bar, {attributes: true}); }"""
    )


def assert_progress(notebook):
    """The bar has moved, forwards, to its end."""
    bars = notebook.page.evaluate("() => window.bars")
    assert len(set(bars)) >= 4
    assert sorted(bars) == bars
    assert max(bars) == 100


def assert_plays(notebook, name):
    """Its time goes on, without anybody having pressed play."""
    video = notebook.find(f"video-{name}")
    video.wait_for()
    times = set()
    for _ in range(400):
        times.add(video.evaluate("(e) => e.currentTime"))
        if len(times) > 3:
            break
        notebook.page.wait_for_timeout(30)
    assert len(times) > 3


def test_draw_set_generate_and_look(notebook, hand):
    draw(notebook, hand)
    way = [(110, 105), (240, 90), (380, 160)]
    notebook.find("tool-path").click()
    hand.drag(*way)
    notebook.wait_for("studio.trajectories[0].path is not None")
    found = np.array(notebook.evaluate("studio.trajectories[0].boxes(41).tolist()"))
    asked = np.array(Trajectory.along((60, 60, 160, 150), way).boxes(41).tolist())
    assert np.abs(found - asked).max() <= NEAR

    slider = notebook.find("slider-cutoff")
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    notebook.page.mouse.click(place["x"] + 0.8 * place["width"], place["y"] + place["height"] / 2)
    notebook.wait_for("0.7 < studio.settings.cutoff < 0.9")
    assert float(notebook.find("setting-cutoff").input_value()) == notebook.evaluate("studio.settings.cutoff")

    watch_progress(notebook)
    notebook.find("generate").click()
    finished(notebook)
    assert_progress(notebook)
    parts = notebook.evaluate("parts")
    assert parts == sorted(parts)
    for name in ("controlled", "uncontrolled"):
        assert_plays(notebook, name)
    assert notebook.evaluate("len(studio.run.video)") == 3
    assert "control step" in notebook.find("loss-curve").text_content()
    assert notebook.page.locator("[data-testid=loss-curve] polyline").count() == 2
    notebook.reload()
    notebook.find("object-0").wait_for()
    assert_plays(notebook, "controlled")
    said = notebook.evaluate("[finding.sentence for finding in studio.diagnosis]")
    found = notebook.page.locator("[data-testid=diagnosis] [data-testid=finding] strong")
    found.first.wait_for()
    assert [text.strip() for text in found.all_inner_texts()] == said


def test_a_preset_from_the_menu(notebook, hand):
    menu = notebook.find("preset")
    menu.select_option("best")
    notebook.wait_for("studio.settings == studio.model.preset('best')")
    notebook.evaluate("studio.change(cutoff=0.25)")
    notebook.page.wait_for_function("() => document.querySelector('[data-testid=preset]').value === ''")
    assert menu.locator("option").all_text_contents() == ["changed", *notebook.evaluate("studio._presets")]
    notebook.find("reset").click()
    notebook.wait_for("studio.settings == studio.model.settings")


def test_a_pair_of_steps_is_completed_and_emptied(notebook, hand):
    first, last = (notebook.find(f"setting-cfg_steps-{which}") for which in ("first", "last"))
    assert (first.input_value(), last.input_value(), first.get_attribute("placeholder")) == ("", "", "all")
    first.fill("1")
    first.press("Tab")
    notebook.wait_for("studio.settings.cfg_steps", [1, 3])
    assert last.input_value() == "3"
    last.fill("")
    last.press("Tab")
    notebook.wait_for("studio.settings.cfg_steps is None")
    assert first.input_value() == ""


def test_a_run_outlives_the_page_and_is_cancelled(notebook, hand):
    draw(notebook, hand)
    kept = notebook.evaluate("len(studio._runs)")
    notebook.evaluate(f"studio.change(**{LONG})")
    notebook.find("generate").click()
    notebook.wait_for("studio._job['fraction'] > 0")
    notebook.reload()
    notebook.page.wait_for_selector("[data-testid=studio][data-state=generating]")
    before = notebook.find("progress").get_attribute("aria-valuenow")
    notebook.wait_for("parts[-1] > parts[0]")
    assert before is not None
    for _ in range(5):  # a page that is still being laid out may move the button from under the mouse
        notebook.find("cancel").click()
        notebook.page.wait_for_timeout(2000)
        if notebook.evaluate("studio._job['state']") != "generating":
            break
    finished(notebook, "cancelled")
    notebook.page.get_by_text("Nothing was kept").wait_for()
    assert notebook.evaluate("len(studio._runs)") == kept
    notebook.find("object-0").wait_for()


def test_what_is_wrong_is_said_in_place(notebook, hand):
    draw(notebook, hand, (-9, 60, -3, 100))
    notebook.page.get_by_text("wholly outside the picture").first.wait_for()
    notebook.find("generate").click()
    notebook.wait_for("'wholly outside' in studio.error")
    assert "wholly outside the picture" in notebook.find("problem").inner_text()
    field = notebook.find("setting-cutoff")
    field.fill("7")
    field.press("Tab")
    notebook.page.get_by_text("must lie between 0 and 1").wait_for()
    assert notebook.evaluate("studio.settings.cutoff") == 0.5


def test_all_by_keyboard(notebook, hand):
    keyboard = notebook.page.keyboard
    cells = notebook.page.locator(".jp-Notebook .jp-Cell").count()
    notebook.find("stage").focus()
    keyboard.press("n")
    notebook.wait_for("len(studio.trajectories)", 1)
    for key in ("End", "Alt+ArrowRight", "Alt+ArrowRight"):
        keyboard.press(key)
    notebook.wait_for("len(studio.trajectories[0].keys)", 2)
    notebook.find("slider-cutoff").focus()
    keyboard.press("ArrowLeft")
    notebook.wait_for("studio.settings.cutoff", 0.45)
    notebook.find("seed").focus()
    keyboard.press("Control+a")
    keyboard.type("12")
    for _ in range(3):  # past the button for another seed and the box
        keyboard.press("Tab")
    assert notebook.page.evaluate("() => document.activeElement.dataset.testid") == "generate"
    for key in ("b", "m", "ArrowDown"):  # a new cell, another kind of cell, the next cell: not from here
        keyboard.press(key)
    keyboard.press("Enter")
    for _ in range(10):  # the button that had the keyboard goes, and still the notebook does not get it
        keyboard.press("b")
        notebook.page.wait_for_timeout(50)
    finished(notebook)
    assert notebook.evaluate("(studio.run.seed, studio.run.settings.cutoff)") == [12, 0.45]
    assert notebook.page.locator(".jp-Notebook .jp-Cell").count() == cells


def test_two_runs_are_compared_and_one_opened_again(notebook, hand):
    draw(notebook, hand)
    for cutoff in (0.5, 0.2):
        notebook.evaluate(f"studio.change(cutoff={cutoff})")
        notebook.find("generate").click()
        notebook.wait_for(f"studio.run is not None and studio.run.settings.cutoff == {cutoff}")
        finished(notebook)
    newest, before = notebook.evaluate("[run['id'] for run in studio._runs[:2]]")
    notebook.page.locator(f"[data-run='{before}'] [data-testid=card-compare]").click()
    different = notebook.page.locator("[data-testid=record] tr.is-different")
    different.first.wait_for()
    assert [text.split() for text in different.all_inner_texts()] == [["Cut-off", "0.2", "0.5"]]
    assert notebook.page.locator("[data-testid=video-controlled]").count() == 2
    notebook.evaluate("restart()")
    notebook.page.locator(f"[data-run='{newest}'] [data-testid=card-reopen]").click()
    notebook.wait_for("(studio.settings.cutoff, len(studio.trajectories))", [0.2, 1])


def test_diagnosis_under_the_video(notebook, hand):
    """What went wrong is listed with its evidence, which the keyboard enlarges."""
    draw(notebook, hand)
    notebook.find("generate").click()
    finished(notebook)
    items = notebook.page.locator("[data-testid=diagnosis] [data-testid=finding]")
    items.first.wait_for()
    said = notebook.evaluate("[finding.sentence for finding in studio.diagnosis]")
    assert [text.strip() for text in items.locator("strong").all_inner_texts()] == said
    assert all("Try:" in text for text in items.all_inner_texts())
    evidence = notebook.page.locator("[data-testid=evidence]").first
    assert said[0] in evidence.get_attribute("aria-label") or len(said) > 1
    assert evidence.locator("img").evaluate("(e) => e.complete && e.naturalWidth > 100")
    small = evidence.bounding_box()["width"]
    evidence.focus()
    notebook.page.keyboard.press("Enter")
    assert evidence.get_attribute("aria-expanded") == "true"
    assert evidence.bounding_box()["width"] > 1.5 * small
    notebook.page.keyboard.press("Enter")
    assert evidence.get_attribute("aria-expanded") == "false"


SHORT = {"num_inference_steps": 2, "control_steps": (0, 0), "iterations": 2, "max_guidance_scale": 1.0}


def test_the_trained_toy(notebook, hand):
    """Chosen in the menu, with a scene of its own world."""
    notebook.find("model").select_option("toy")
    notebook.wait_for("(studio.busy, studio.model.name)", [False, "toy"])
    notebook.find("draw-scene").click()
    notebook.wait_for("studio.image.size", [128, 128])
    notebook.evaluate(f"studio.change(**{SHORT})")
    notebook.evaluate("setattr(studio, 'trajectories', Trajectories((128, 128), (BALL,)))")
    notebook.find("name-0").get_by_text("ball").wait_for()
    watch_progress(notebook)
    notebook.find("generate").click()
    finished(notebook)
    assert_progress(notebook)
    for name in ("controlled", "uncontrolled"):
        assert_plays(notebook, name)
    assert notebook.evaluate("(studio.run.model, len(studio.run.video))") == ["toy", 8]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pictures_of_it(notebook, screenshots, theme):
    """As the last test left it. Saved to be looked at; here only that the theme is followed."""
    notebook.theme(f"JupyterLab {theme}")
    studio = notebook.find("studio")
    notebook.page.wait_for_function(f"() => document.querySelector('.sg-studio').dataset.theme === '{theme.lower()}'")
    size = notebook.page.viewport_size
    notebook.page.set_viewport_size({**size, "height": 2500})  # all of it at once
    notebook.page.wait_for_timeout(1000)
    studio.screenshot(path=screenshots / f"studio-{theme.lower()}.png")
    notebook.find("diagnosis").screenshot(path=screenshots / f"diagnosis-{theme.lower()}.png")
    notebook.page.set_viewport_size(size)
    ink, surface = studio.evaluate("(e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
    shades = [sum(map(float, colour[colour.index("(") + 1 : -1].split(",")[:3])) for colour in (ink, surface)]
    assert (shades[0] < shades[1]) == (theme == "Light")
