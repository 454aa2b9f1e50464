"""The atlas in JupyterLab, with a table made up: cells looked at with mouse and keys, in both themes."""

import statistics

import pytest

CELL = """
import pyarrow
from sgi2v_lab.analysis.clips import toy_clips
from sgi2v_lab.models.model import layer_name
from sgi2v_lab.analysis.sweep import SCHEMA
from sgi2v_lab.models.load import load_model
from sgi2v_lab.widgets import AtlasExplorer

model = load_model("toy", "cpu")
(clip,) = toy_clips(model, 1)
rows = [
    {"clip": c, "layer": layer_name(layer), "kind": kind, "sigma": sigma, "pairs": 9, "chance_1": 0.05}
    | {"accuracy_1": 0.05 + 0.05 * i / (1 + abs(j - 3)) - 0.01 * k + 0.02 * n}
    for n, c in enumerate(("toy-0", "toy-1"))
    for i, layer in enumerate(model.all_layers)
    for j, sigma in enumerate((41.0, 9.0, 3.0, 1.0, 0.4, 0.1))
    for k, kind in enumerate(("self-attention", "aligned", "temporal", "query-key"))
]
atlas = AtlasExplorer(model, clip, pyarrow.Table.from_pylist(rows, SCHEMA))
"""
ANSWER = """async ([e, cell]) => {
    const pictures = () => [...e.querySelectorAll("[data-testid=heads] img")];
    const before = pictures()[0].src, start = performance.now();
    e.querySelector(`[data-testid=${cell}]`).click();
    while (pictures()[0].src === before || !pictures().every((each) => each.complete && each.naturalWidth)) {
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - start;
}"""


@pytest.fixture(scope="module")
def notebook(open_notebook):
    with open_notebook("atlas", [CELL, "atlas"], "lab") as notebook:
        notebook.widget("atlas-explorer")
        yield notebook


def test_a_cell_that_is_clicked_shows_its_maps(notebook):
    seen, waits = notebook.widget("atlas-explorer"), []
    for row, column in ((0, 0), (5, 2), (12, 5), (7, 1)):
        cell = f"cell-{row}-{column}"
        waits.append(seen.page.evaluate(ANSWER, [seen.element_handle(), cell]))
        notebook.wait_for("atlas.shown['cell']", [row, column])
        assert "current" in seen.get_by_test_id(cell).get_attribute("class")
        heads = notebook.evaluate("model.heads(model.all_layers[atlas.cell[0]])")
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


def test_everything_that_is_entered_has_a_name(notebook):
    seen = notebook.widget("atlas-explorer")
    unnamed = seen.evaluate(
        """(e) => [...e.querySelectorAll("input, select, button, [tabindex]")].filter((each) =>
        !each.getAttribute("aria-label") && !each.labels?.[0]?.textContent.trim() && !each.textContent.trim()).length"""
    )
    assert unnamed == 0


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pictures_of_it(notebook, screenshots, theme):
    """Saved to be looked at."""
    notebook.theme(f"JupyterLab {theme}")
    for name, value in (("kind", "aligned"), ("cell", [13, 3]), ("frame", 5), ("point", [40.0, 60.0])):
        notebook.evaluate(f"setattr(atlas, {name!r}, {value!r})")
    seen = notebook.widget("atlas-explorer")
    notebook.page.wait_for_function(
        "([e, theme]) => e.dataset.theme === theme && e.getAttribute('aria-busy') === 'false'",
        arg=[seen.element_handle(), theme.lower()],
    )
    notebook.page.wait_for_timeout(500)
    seen.screenshot(path=screenshots / f"atlas-explorer-{theme.lower()}.png")
