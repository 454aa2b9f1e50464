"""Widgets on a page of the book, which has no kernel: drawn from what their cells left, and honest about the rest."""

import json
from pathlib import Path

import pytest
import torch
from ipywidgets.embed import embed_data

from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.widgets import FeatureExplorer, TrajectoryEditor
from tests.helpers import tiny

SCRIPT = Path(__file__).parents[2] / "docs" / "static" / "book.js"


@pytest.fixture(scope="module")
def page(context, tmp_path_factory):
    """The editor and an explorer, as Jupyter saves them and the book's pages hold them."""
    picture, model = tiny.picture(), tiny.tiny_model()
    height, width = picture.shape[-2:]
    asked = Trajectories((width, height), (Trajectory.move((4, 4, 20, 20), by=(20, 0), name="ball"),))
    latents = torch.zeros(tiny.FRAMES, 4, tiny.HEIGHT // 8, tiny.WIDTH // 8)
    explorer = FeatureExplorer(model, image=picture, latents=latents, settings=tiny.SETTINGS)
    data = embed_data([TrajectoryEditor(picture, asked, model=model), explorer], drop_defaults=False)
    views = "".join(
        f'<div><script type="application/vnd.jupyter.widget-view+json">{json.dumps(view)}</script></div>'
        for view in data["view_specs"]
    )
    state = json.dumps(data["manager_state"]).replace("</", "<\\/")
    saved = f'<script type="application/vnd.jupyter.widget-state+json">{state}</script>'
    file = tmp_path_factory.mktemp("book") / "page.html"
    file.write_text(
        f"<!doctype html><meta charset=utf-8>{saved}{views}<script>{SCRIPT.read_text(encoding='utf-8')}</script>",
        encoding="utf-8",
    )
    page = context.new_page()
    page.goto(file.as_uri())
    page.locator("[data-ready]").first.wait_for()
    yield page
    page.close()


def test_widgets_are_drawn(page):
    assert page.locator(".sgi2v").count() == 2
    assert page.get_by_text("ball").first.is_visible()
    page.wait_for_function("[...document.querySelectorAll('.sg-explorer img')].some((each) => each.naturalWidth)")
    assert page.locator("p.no-kernel").count() == 2


def test_what_the_browser_does_alone_works(page):
    explorer = page.get_by_test_id("feature-explorer")
    explorer.get_by_test_id("frame").fill("1")
    explorer.get_by_text("frame 1").first.wait_for()
    assert page.locator("p.now").count() == 0


def test_what_the_kernel_would_compute_is_refused_aloud(page):
    layer = page.get_by_test_id("layer")
    before = layer.input_value()
    other = layer.evaluate(
        "(list) => [...list.options].map((each) => each.value).find((value) => value !== list.value)"
    )
    layer.select_option(other)
    page.locator("p.now").wait_for()
    assert layer.input_value() == before
