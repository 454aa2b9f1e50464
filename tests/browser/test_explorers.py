"""The explorers in JupyterLab, on a short run of the toy: looked at with mouse and keys, reloaded, wrong on purpose."""

import pytest

CELL = """
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.models.load import load_model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.prompts.reference_image import prompt_boxes, reference_image
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.widgets import FeatureExplorer, FrequencyExplorer, LossExplorer

model = load_model("toy", "cpu")
settings = model.settings.replace(num_inference_steps=6, control_steps=(1, 3), iterations=3, early_stop=None)
scene = "a large yellow circle at the left on blue clouds"
picture = reference_image(scene, "toy", 128)
ball = next(iter(prompt_boxes(scene, 128).values())).tolist()
asked = Trajectories(picture.size, (
    Trajectory.move(ball, by=(50, 0), name="ball"), Trajectory.pin((84, 12, 116, 44), name="clouds"),
))
run = generate(model, picture, asked, settings, trace=["latents", "optimization"], progress=False)
features = FeatureExplorer(model, run)
losses = LossExplorer(run, names=["ball", "clouds"])
frequencies = FrequencyExplorer(run, model=model)
"""
EXPLORERS = {"feature-explorer": "features", "loss-explorer": "losses", "frequency-explorer": "frequencies"}
SHOWN = [["feature-explorer", "features"], ["loss-explorer", "losses"], ["frequency-explorer", "frequencies"]]


@pytest.fixture(scope="module")
def notebook(open_notebook):
    with open_notebook("explorers", [CELL, *EXPLORERS.values()], "lab") as notebook:
        for name in EXPLORERS:
            notebook.widget(name)
        yield notebook


@pytest.fixture(params=EXPLORERS)
def explorer(notebook, request):
    """One after the other: what is seen of it, and its name in the kernel."""
    seen = notebook.widget(request.param)
    seen.scroll_into_view_if_needed()
    return seen, EXPLORERS[request.param]


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
    seen, _ = explorer
    shown = "(e) => [...e.querySelectorAll('img')].filter((picture) => !picture.hidden)"
    assert seen.evaluate(f"(e) => ({shown})(e).length") > 4
    assert seen.evaluate(f"(e) => ({shown})(e).every((picture) => picture.complete && picture.naturalWidth > 0)")


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
    """A real one: the UNet breaks while the explorer runs it."""
    seen = notebook.widget("feature-explorer")
    notebook.evaluate("setattr(model.unet, 'broken', model.unet.register_forward_pre_hook(lambda *_: 1 / 0))")
    try:
        seen.get_by_test_id("step").focus()
        notebook.page.keyboard.press("End")
        seen.get_by_role("alert").get_by_text("division by zero").wait_for()
        assert seen.get_attribute("aria-busy") == "false"
    finally:
        notebook.evaluate("model.unet.broken.remove()")
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
    notebook.wait_for("features.shown['step']", 5)
    step.focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.wait_for("features.shown['step']", 4)
    assert step.get_attribute("aria-valuetext").startswith("4 · σ = ")
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
    drag(notebook, seen.get_by_test_id("step"), 1.0)
    notebook.wait_for("losses.shown['step']", 3)
    seen.get_by_test_id("measure").select_option(label="the box's own mean error")
    notebook.wait_for("losses.measure", "mean")
    seen.get_by_text("Mean squared error by box and frame").wait_for()
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


# --- all of them -----------------------------------------------------------------------------------------------------


def test_a_reloaded_page_shows_them_again(notebook):
    for name, value in (("features.left", "query"), ("losses.measure", "mean")):
        notebook.evaluate(f"setattr({name.split('.')[0]}, {name.split('.')[1]!r}, {value!r})")
    notebook.evaluate("(setattr(frequencies, 'cutoff', 0.4), setattr(frequencies, 'order', 2))")
    notebook.reload()
    seen = {name: notebook.widget(name) for name in EXPLORERS}
    assert seen["feature-explorer"].get_by_test_id("left").input_value() == '"query"'
    assert seen["loss-explorer"].get_by_test_id("measure").input_value() == '"mean"'
    assert seen["frequency-explorer"].get_by_test_id("cutoff").get_attribute("aria-valuetext") == "0.40"
    slider = seen["frequency-explorer"].get_by_test_id("order")
    slider.scroll_into_view_if_needed()
    slider.focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_for("frequencies.order", 3)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pictures_of_them(notebook, screenshots, theme):
    """Saved to be looked at; here only that the theme is followed, and that letters stand out from what is behind."""
    notebook.theme(f"JupyterLab {theme}")
    notebook.evaluate("[setattr(features, 'left', 'self-attention'), setattr(losses, 'measure', 'share')]")
    notebook.evaluate("[setattr(frequencies, 'cutoff', 0.5), setattr(features, 'step', 2), setattr(losses, 'step', 2)]")
    notebook.evaluate("[setattr(features, 'point', [float(ball[0] + ball[2]) / 2, float(ball[1] + ball[3]) / 2])]")
    size = notebook.page.viewport_size
    notebook.page.set_viewport_size({**size, "height": 3200})  # all of them at once
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
