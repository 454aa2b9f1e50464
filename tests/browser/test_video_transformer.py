"""Every widget once on the bundled video transformer; the Studio holds the trajectory editor."""

import pytest

CELL = """
import tempfile
import pyarrow
from sgi2v_lab.analysis.clips import toy_clips
from sgi2v_lab.models.model import layer_name
from sgi2v_lab.analysis.sweep import SCHEMA
from sgi2v_lab.models.load import load_model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.prompts.reference_image import prompt_boxes, reference_image
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.widgets import AtlasExplorer, FeatureExplorer, FrequencyExplorer, LossExplorer, Studio

model = load_model("toy-dit", "cpu")
short = {"num_inference_steps": 3, "control_steps": (0, 1), "iterations": 2}
scene = "a large yellow circle at the left on blue clouds"
picture = reference_image(scene, "toy", 128)
ball = next(iter(prompt_boxes(scene, 128).values())).tolist()
asked = Trajectories(picture.size, (Trajectory.move(ball, by=(50, 0), name="ball"),))
run = generate(
    model, picture, asked, model.settings.replace(**short), trace=["latents", "optimization"], progress=False
)
features, losses, frequencies = FeatureExplorer(model, run), LossExplorer(run), FrequencyExplorer(run, model=model)
(clip,) = toy_clips(model, 1)
rows = [
    {"clip": "toy-0", "layer": layer_name(layer), "kind": kind, "sigma": sigma, "pairs": 9}
    | {"accuracy_1": 0.1 * i + 0.05 * k, "chance_1": 0.05}
    for i, layer in enumerate(model.all_layers)
    for sigma in (0.9, 0.5, 0.1)
    for k, kind in enumerate(("self-attention", "aligned", "aligned-unplaced", "query-key"))
]
atlas = AtlasExplorer(model, clip, pyarrow.Table.from_pylist(rows, SCHEMA))
studio = Studio(model, picture, folder=tempfile.mkdtemp())
studio.trajectories = asked
studio.change(**short)
"""
WIDGETS = {
    "feature-explorer": "features",
    "loss-explorer": "losses",
    "frequency-explorer": "frequencies",
    "atlas-explorer": "atlas",
    "studio": "studio",
}
DRAWN = """(e) => { const shown = [...e.querySelectorAll('img')].filter((picture) => !picture.hidden);
    return shown.length > 0 && shown.every((picture) => picture.complete && picture.naturalWidth > 0); }"""


@pytest.fixture(scope="module")
def notebook(open_notebook):
    with open_notebook("transformer", [CELL, *WIDGETS.values()], "lab") as notebook:
        for name in WIDGETS:
            notebook.widget(name)
        yield notebook


@pytest.mark.parametrize("name", ["feature-explorer", "loss-explorer", "frequency-explorer", "atlas-explorer"])
def test_explorers_draw_every_picture_and_follow_their_sliders(notebook, name, screenshots):
    seen = notebook.widget(name)
    seen.scroll_into_view_if_needed()
    notebook.page.wait_for_function(f"(e) => ({DRAWN})(e)", arg=seen.element_handle())
    before = seen.evaluate("(e) => [...e.querySelectorAll('img')].map((picture) => picture.src)")
    if name == "atlas-explorer":
        seen.get_by_test_id("cell-1-1").click()
        notebook.wait_for("atlas.shown['cell']", [1, 1])
    else:
        step = seen.get_by_test_id("step")
        step.focus()
        notebook.page.keyboard.press("ArrowRight" if step.input_value() == "0" else "ArrowLeft")
    changed = "([e, before]) => [...e.querySelectorAll('img')].some((picture, i) => picture.src !== before[i])"
    notebook.page.wait_for_function(changed, arg=[seen.element_handle(), before])
    notebook.page.wait_for_function(f"(e) => ({DRAWN})(e)", arg=seen.element_handle())
    assert notebook.evaluate(f"{WIDGETS[name]}.error") == ""
    assert "9 frames in 5 latents" in seen.inner_text()
    if name != "frequency-explorer":
        assert seen.locator(".thumb, figure.thumb").count() % 5 == 0
    seen.screenshot(path=screenshots / f"transformer-{name}.png")


def test_the_studio_makes_a_video_of_nine_frames(notebook, screenshots):
    seen = notebook.widget("studio")
    notebook.find("name-0").get_by_text("ball").wait_for()
    notebook.find("generate").click()
    notebook.wait_for("studio._job['state']", "done")
    assert notebook.evaluate("studio.error") == ""
    assert notebook.evaluate("(studio.run.model, len(studio.run.video))") == ["toy-dit", 9]
    notebook.find("video-controlled").wait_for()
    seen.screenshot(path=screenshots / "transformer-studio.png")
