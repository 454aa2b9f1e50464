"""Every widget on one page of JupyterLab: looked at with mouse and keys, wrong on purpose, in both themes.

The explorers show a short run of the bundled video transformer, whose latents hold two frames each; the atlas shows the
bundled UNet, with a table made up; the Studio makes a video of the transformer's.
"""

import statistics

import pytest

CELL = """
import tempfile
import pyarrow
from sgi2v_lab.analysis.clips import toy_clips
from sgi2v_lab.analysis.sweep import SCHEMA
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import layer_name
from sgi2v_lab.pipeline import generate
from sgi2v_lab.prompts.reference_image import prompt_boxes, reference_image
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.widgets import AtlasExplorer, FeatureExplorer, FrequencyExplorer, LossExplorer, Studio

model = load_model("toy-dit", "cpu")
short = {"num_inference_steps": 4, "control_steps": (1, 2), "iterations": 3, "early_stop": None}
scene = "a large yellow circle at the left on blue clouds"
picture = reference_image(scene, "toy", 128)
ball = next(iter(prompt_boxes(scene, 128).values())).tolist()
asked = Trajectories(picture.size, (
    Trajectory.move(ball, by=(50, 0), name="ball"), Trajectory.pin((84, 12, 116, 44), name="clouds"),
))
run = generate(
    model, picture, asked, model.settings.replace(**short), trace=["latents", "optimization"], progress=False
)
features = FeatureExplorer(model, run)
losses = LossExplorer(run, names=["ball", "clouds"])
frequencies = FrequencyExplorer(run, model=model)

unet = load_model("toy", "cpu")
(clip,) = toy_clips(unet, 1)
rows = [
    {"clip": c, "layer": layer_name(layer), "kind": kind, "sigma": sigma, "pairs": 9, "chance_1": 0.05}
    | {"accuracy_1": 0.05 + 0.05 * i / (1 + abs(j - 3)) - 0.01 * k + 0.02 * n}
    for n, c in enumerate(("toy-0", "toy-1"))
    for i, layer in enumerate(unet.all_layers)
    for j, sigma in enumerate((41.0, 9.0, 3.0, 1.0, 0.4, 0.1))
    for k, kind in enumerate(("self-attention", "aligned", "temporal", "query-key"))
]
atlas = AtlasExplorer(unet, clip, pyarrow.Table.from_pylist(rows, SCHEMA))

studio = Studio(model, picture, folder=tempfile.mkdtemp())
studio.trajectories, studio.compare = asked, False
studio.change(num_inference_steps=2, control_steps=(0, 0), iterations=2)
"""
EXPLORERS = {
    "feature-explorer": "features",
    "loss-explorer": "losses",
    "frequency-explorer": "frequencies",
    "atlas-explorer": "atlas",
}
OF_RUN = [name for name in EXPLORERS.values() if name != "atlas"]


@pytest.fixture(scope="module")
def notebook(open_notebook):
    with open_notebook("explorers", [CELL, *EXPLORERS.values(), "studio"], "lab") as notebook:
        for name in (*EXPLORERS, "studio"):
            notebook.widget(name)
        yield notebook


@pytest.fixture(params=EXPLORERS.values())
def explorer(notebook, request):
    """One after the other: what is seen of it, and its name in the kernel."""
    (shown,) = (widget for widget, name in EXPLORERS.items() if name == request.param)
    seen = notebook.widget(shown)
    seen.scroll_into_view_if_needed()
    return seen, request.param


def pictures(explorer):
    """The addresses of all pictures in it: another picture has another address."""
    return explorer.evaluate("(e) => [...e.querySelectorAll('img')].map((picture) => picture.src)")


def wait_for_others(notebook, explorer, before):
    """Wait until not all pictures are those of before."""
    changed = "([e, before]) => [...e.querySelectorAll('img')].some((picture, i) => picture.src !== before[i])"
    notebook.page.wait_for_function(changed, arg=[explorer.element_handle(), before])


def drag(notebook, slider, share):
    """Take the thumb of a slider from where it is to a share of its way."""
    slider.scroll_into_view_if_needed()
    place = slider.bounding_box()
    low, high, value = (float(slider.evaluate(f"(e) => e.{name}")) for name in ("min", "max", "value"))
    thumb = 16  # pixels: its middle goes from half of it to half of it before the end
    x = [place["x"] + thumb / 2 + (place["width"] - thumb) * at for at in ((value - low) / (high - low), share)]
    y = place["y"] + place["height"] / 2
    notebook.page.mouse.move(x[0], y)
    notebook.page.mouse.down()
    notebook.page.mouse.move(x[1], y, steps=8)
    notebook.page.mouse.up()


# --- what they share -------------------------------------------------------------------------------------------------


def test_everything_that_is_entered_has_a_name(explorer):
    """As a screen reader would say it; and every picture that means something has one too."""
    seen, _ = explorer
    unnamed = seen.evaluate(
        """(e) => [...e.querySelectorAll("input, select, button, [tabindex]")].filter((each) =>
        !each.getAttribute("aria-label") && !(each.labels && each.labels[0]?.textContent.trim()) &&
        !each.textContent.trim()).map((each) => each.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    for slider in seen.get_by_role("slider").all():
        assert slider.get_attribute("aria-valuetext")


def test_every_picture_is_drawn(explorer):
    seen, name = explorer
    shown = "(e) => [...e.querySelectorAll('img')].filter((picture) => !picture.hidden)"
    assert seen.evaluate(f"(e) => ({shown})(e).length") > 4
    assert seen.evaluate(f"(e) => ({shown})(e).every((picture) => picture.complete && picture.naturalWidth > 0)")
    if name in OF_RUN:
        assert "9 frames in 5 latents" in seen.inner_text()
        assert seen.locator(".thumb, figure.thumb").count() % 5 == 0


def test_keys_are_the_explorers_own(notebook, explorer):
    """Letters and arrows that mean something to a notebook do nothing to it here."""
    seen, _ = explorer
    cells = notebook.page.locator(".jp-Notebook .jp-Cell")
    slider = seen.get_by_role("slider").first
    count, before = cells.count(), slider.input_value()
    slider.focus()
    there_and_back = ["ArrowRight", "ArrowLeft"]
    if before == slider.get_attribute("max"):
        there_and_back.reverse()
    for key in ("b", "a", "m", *there_and_back):
        notebook.page.keyboard.press(key)
    assert cells.count() == count
    assert slider.input_value() == before
    assert seen.evaluate("(e) => e.contains(document.activeElement)")


@pytest.mark.parametrize("explorer", OF_RUN, indirect=True)
def test_a_failure_is_shown_in_place_and_goes_away(notebook, explorer):
    seen, name = explorer
    before = pictures(seen)
    notebook.evaluate(f"setattr({name}, 'error', 'running the UNet failed: out of memory')")
    alert = seen.get_by_role("alert")
    alert.get_by_text("out of memory").wait_for()
    assert pictures(seen) == before
    step = seen.get_by_test_id("step")
    step.focus()
    notebook.page.keyboard.press("ArrowRight" if step.input_value() == "0" else "ArrowLeft")
    alert.wait_for(state="hidden")
    notebook.wait_for(f"{name}.error", "")


def test_a_failure_of_the_model_is_shown_in_place(notebook):
    """A real one: the network breaks while the explorer runs it."""
    seen = notebook.widget("feature-explorer")
    broken = "model.transformer.register_forward_pre_hook(lambda *_: 1 / 0)"
    notebook.evaluate(f"setattr(model.transformer, 'broken', {broken})")
    try:
        seen.get_by_test_id("step").focus()
        notebook.page.keyboard.press("End")
        seen.get_by_role("alert").get_by_text("division by zero").wait_for()
        assert seen.get_attribute("aria-busy") == "false"
    finally:
        notebook.evaluate("model.transformer.broken.remove()")
    notebook.page.keyboard.press("Home")
    seen.get_by_role("alert").wait_for(state="hidden")
    notebook.wait_for("features.shown['step']", 0)


# --- features --------------------------------------------------------------------------------------------------------


def test_a_click_moves_the_point_and_the_similarity(notebook):
    seen = notebook.widget("feature-explorer")
    picker = seen.get_by_test_id("picker")
    picker.scroll_into_view_if_needed()
    place = picker.bounding_box()
    before = notebook.evaluate("features.matches"), pictures(seen)
    notebook.page.mouse.click(place["x"] + 0.8 * place["width"], place["y"] + 0.7 * place["height"])
    notebook.wait_for("[round(v) for v in features.point]", [round(0.8 * 128), round(0.7 * 128)])
    notebook.wait_for(f"features.matches != {before[0]!r}")
    wait_for_others(notebook, seen, before[1])
    assert "102" in picker.get_attribute("aria-label")
    # cells of the map are as far apart as the arrow keys go
    columns = notebook.evaluate("features.shown['grid'][0]")
    picker.focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.wait_for(f"abs(features.point[0] - ({0.8 * 128} - 128 / {columns})) < 1")


def test_sliders_of_features_by_mouse_and_keys(notebook):
    seen = notebook.widget("feature-explorer")
    step, frame = seen.get_by_test_id("step"), seen.get_by_test_id("frame")
    drag(notebook, step, 1.0)
    notebook.wait_for("features.shown['step']", 3)
    step.focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.wait_for("features.shown['step']", 2)
    assert step.get_attribute("aria-valuetext").startswith("2 · σ = ")
    drag(notebook, frame, 0.0)
    notebook.wait_for("features.frame", 0)
    seen.get_by_test_id("play").click()
    notebook.page.wait_for_function("(slider) => Number(slider.value) >= 2", arg=frame.element_handle())
    seen.get_by_test_id("play").click()
    before = pictures(seen)
    seen.get_by_test_id("left").select_option(label="queries")
    notebook.wait_for("features.left", "query")
    wait_for_others(notebook, seen, before)


# --- loss ------------------------------------------------------------------------------------------------------------


def test_a_point_of_the_loss_is_looked_at(notebook):
    seen = notebook.widget("loss-explorer")
    point = seen.locator("[data-testid=loss-chart] .point").nth(4)  # the middle iteration of the second control step
    point.scroll_into_view_if_needed()
    place = point.bounding_box()
    notebook.page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    notebook.wait_for("(losses.step, losses.iteration)", [2, 1])
    loss = notebook.wait_for("losses.shown['loss'] == run.losses[2][1]")
    assert loss
    seen.get_by_test_id("iteration").focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_for("losses.shown['loss'] == run.losses[2][2]")
    drag(notebook, seen.get_by_test_id("step"), 0.0)
    notebook.wait_for("losses.shown['step']", 1)
    seen.get_by_test_id("measure").select_option(label="the box's own mean error")
    notebook.wait_for("losses.measure", "mean")
    seen.get_by_text("Mean squared error by box and latent").wait_for()
    rows = seen.locator("[data-testid=terms] tbody tr")
    assert [text.split()[0] for text in rows.all_inner_texts()] == ["ball", "clouds"]


# --- frequencies -----------------------------------------------------------------------------------------------------


def test_the_cutoff_moves_what_is_kept(notebook):
    seen = notebook.widget("frequency-explorer")
    cutoff = seen.get_by_test_id("cutoff")
    kept = notebook.evaluate("frequencies.kept")
    drag(notebook, cutoff, 0.2)
    notebook.wait_for("frequencies.cutoff < 0.3 and frequencies.shown['cutoff'] == frequencies.cutoff")
    notebook.wait_for(f"frequencies.kept < {kept}")
    now = notebook.evaluate("frequencies.cutoff")
    cutoff.focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_for("round(frequencies.cutoff, 2)", round(now + 0.01, 2))
    ring = seen.locator("[data-testid=mask] circle").last
    assert float(ring.get_attribute("r")) == pytest.approx(now + 0.01, abs=1e-6)
    notebook.wait_for("frequencies.busy", "")
    assert seen.locator("[data-testid=decoded_mixed_png] img").evaluate("(e) => e.naturalWidth") == 128


# --- atlas ------------------------------------------------------------------------------------------------------------

ANSWER = """async ([e, cell]) => {
    const pictures = () => [...e.querySelectorAll("[data-testid=heads] img")];
    const before = pictures()[0].src, start = performance.now();
    e.querySelector(`[data-testid=${cell}]`).click();
    while (pictures()[0].src === before || !pictures().every((each) => each.complete && each.naturalWidth)) {
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - start;
}"""


def test_a_cell_that_is_clicked_shows_its_maps(notebook):
    seen, waits = notebook.widget("atlas-explorer"), []
    for row, column in ((0, 0), (5, 2), (12, 5), (7, 1)):
        cell = f"cell-{row}-{column}"
        waits.append(seen.page.evaluate(ANSWER, [seen.element_handle(), cell]))
        notebook.wait_for("atlas.shown['cell']", [row, column])
        assert "current" in seen.get_by_test_id(cell).get_attribute("class")
        heads = notebook.evaluate("unet.heads(unet.all_layers[atlas.cell[0]])")
        assert seen.get_by_test_id("heads").locator("img").count() == heads
    print(f"from a click to its maps: median {statistics.median(waits):.0f} ms")


def test_keys_move_the_cell_and_the_point(notebook):
    seen, keyboard = notebook.widget("atlas-explorer"), notebook.page.keyboard
    seen.get_by_test_id("cell-3-3").click()
    notebook.wait_for("atlas.shown['cell']", [3, 3])
    keyboard.press("ArrowDown")
    keyboard.press("ArrowRight")
    notebook.wait_for("atlas.shown['cell']", [4, 4])
    assert "noise level 0.4" in seen.get_by_test_id("atlas").get_attribute("aria-label")
    before = notebook.evaluate("atlas.point")
    seen.get_by_test_id("picker").focus()
    keyboard.press("ArrowLeft")
    columns = notebook.evaluate("atlas.shown['grid'][0]")
    notebook.wait_for(f"abs(atlas.point[0] - ({before[0]} - 128 / {columns})) < 1")
    assert notebook.evaluate("atlas.cell") == [4, 4]


def test_the_kind_changes_map_and_features(notebook):
    seen = notebook.widget("atlas-explorer")
    before = seen.get_by_test_id("cell-0-0").inner_text()
    seen.get_by_test_id("kind").select_option(label="temporal attention")
    notebook.wait_for("atlas.shown['kind']", "temporal")
    seen.get_by_text("Attention along time").wait_for()
    assert seen.get_by_test_id("cell-0-0").inner_text() != before


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pictures_of_them(notebook, screenshots, theme):
    """Saved to be looked at; here only that the theme is followed, and that letters stand out from what is behind."""
    notebook.theme(f"JupyterLab {theme}")
    notebook.evaluate("[setattr(features, 'left', 'self-attention'), setattr(losses, 'measure', 'share')]")
    notebook.evaluate("[setattr(frequencies, 'cutoff', 0.5), setattr(features, 'step', 2), setattr(losses, 'step', 2)]")
    notebook.evaluate("[setattr(features, 'point', [float(ball[0] + ball[2]) / 2, float(ball[1] + ball[3]) / 2])]")
    for name, value in (("kind", "aligned"), ("cell", [13, 3]), ("frame", 5), ("point", [40.0, 60.0])):
        notebook.evaluate(f"setattr(atlas, {name!r}, {value!r})")
    size = notebook.page.viewport_size
    notebook.page.set_viewport_size({**size, "height": 4400})  # all of them at once
    for name in EXPLORERS:
        seen = notebook.widget(name)
        notebook.page.wait_for_function(
            "([e, theme]) => e.dataset.theme === theme && e.getAttribute('aria-busy') === 'false'",
            arg=[seen.element_handle(), theme.lower()],
        )
        notebook.page.wait_for_timeout(500)
        seen.screenshot(path=screenshots / f"{name}-{theme.lower()}.png")
        ink, surface = seen.evaluate("(e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
        shades = [sum(map(float, colour[colour.index("(") + 1 : -1].split(",")[:3])) for colour in (ink, surface)]
        assert abs(shades[0] - shades[1]) > 300
        assert (shades[0] < shades[1]) == (theme == "Light")
    notebook.page.set_viewport_size(size)


# --- the Studio -------------------------------------------------------------------------------------------------------


def test_the_studio_makes_a_video_of_nine_frames(notebook):
    notebook.widget("studio")
    notebook.find("name-0").get_by_text("ball").wait_for()
    notebook.find("generate").click()
    notebook.wait_for("studio._job['state']", "done")
    assert notebook.evaluate("studio.error") == ""
    assert notebook.evaluate("(studio.run.model, len(studio.run.video))") == ["toy-dit", 9]
    notebook.find("video-controlled").wait_for()
