import csv
import json

import pytest

from sgi2v_lab.bench import scaling as cost
from sgi2v_lab.bench.scaling import AXES, cost_tasks, fit_line, measure_cost
from sgi2v_lab.errors import InputError
from sgi2v_lab.plots import plot_cost
from tests.helpers.tiny import TINIER as SETTINGS
from tests.helpers.tiny import WIDTH
from tests.helpers.tiny import tinier_model as tiny_model


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(cost, "COUNTS", {"boxes": (1, 2), "iterations": (1, 2)})
    monkeypatch.setattr(cost, "SHARES", {"frames": (1.0, 2.0), "resolution": (0.5, 1.0, 2.0)})
    monkeypatch.setattr(cost, "STEPS", 2)


def test_one_thing_at_a_time_is_varied():
    for axis in AXES:
        tasks = list(cost_tasks(tiny_model(), axis))
        assert [task.x for task in tasks] == sorted({task.x for task in tasks}) and len(tasks) > 1
        facts = [task.facts() for task in tasks]
        for name, own in (("frames", "frames"), ("boxes", "boxes"), ("iterations", "iterations")):
            assert (len({fact[own] for fact in facts}) > 1) == (name == axis)
        assert (len({(fact["width"], fact["height"]) for fact in facts}) > 1) == (axis == "resolution")
        for task in tasks:
            tiny_model().latent_shape(task.settings)  # every size is one that the model can have
    assert any(
        task.x == pytest.approx(WIDTH * SETTINGS.height / 1e6) for task in cost_tasks(tiny_model(), "resolution")
    )


@pytest.mark.slow
def test_what_is_measured_is_written_and_used_again(tmp_path, monkeypatch):
    report = measure_cost(tmp_path, tiny_model(), ("boxes", "iterations"), progress=False)
    assert [(row["axis"], row["x"]) for row in report["rows"]] == [
        *(("boxes", 1.0), ("boxes", 2.0), ("iterations", 1.0), ("iterations", 2.0))
    ]
    assert all(row["error"] is None and row["seconds"] > row["seconds_denoise"] > 0 for row in report["rows"])
    assert all(row["peak_bytes"] >= 0 for row in report["rows"])
    assert report["machine"]["device"] == "cpu" and report["machine"]["threads"] >= 1
    assert set(report["lines"]["boxes"]) == {"seconds", "peak_bytes"}
    assert json.loads((tmp_path / "cost.json").read_text()) == report
    table = list(csv.DictReader((tmp_path / "cost.csv").open()))
    assert [float(row["seconds"]) for row in table] == [row["seconds"] for row in report["rows"]]
    assert (tmp_path / "cost.png").read_bytes()[:4] == b"\x89PNG"

    damaged, *whole = sorted((tmp_path / "records").glob("*.json"))
    damaged.write_text("{")
    measured = []
    monkeypatch.setattr(
        cost, "_measure", lambda model, task, repeats: measured.append(task) or {"error": "MemoryError: full"}
    )
    again = measure_cost(tmp_path, tiny_model(), ("boxes", "iterations"), progress=False)
    assert whole and len({task.key({}) for task in measured}) == 1, "only the damaged one is measured again"
    assert sum(row["error"] is not None for row in again["rows"]) == len(measured)
    monkeypatch.undo()


@pytest.mark.slow
def test_a_run_that_fails_is_recorded_and_tried_again(tmp_path, monkeypatch):
    real = cost._one

    def tight(model, task):
        if task.boxes > 1:
            raise MemoryError("no room")
        return real(model, task)

    monkeypatch.setattr(cost, "_one", tight)
    report = measure_cost(tmp_path, tiny_model(), ("boxes",), progress=False)
    assert [row["error"] for row in report["rows"]] == [None, "MemoryError: no room"]
    assert report["lines"]["boxes"] == {}, "one point is no line"
    monkeypatch.setattr(cost, "_one", real)
    assert all(row["error"] is None for row in measure_cost(tmp_path, tiny_model(), ("boxes",), progress=False)["rows"])


def test_a_line_is_found_again():
    line = fit_line([1, 2, 4], [5, 7, 11])
    assert (line["at"], line["slope"], line["r2"]) == pytest.approx((3, 2, 1))
    assert fit_line([1, 2, 3], [1, 3, 1])["r2"] < 0.5


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(InputError, match="choose some of frames"):
        measure_cost(tmp_path, tiny_model(), ("money",))
    with pytest.raises(InputError, match="repeats is 0"):
        measure_cost(tmp_path, tiny_model(), repeats=0)


def test_the_plot_has_a_column_for_each_axis():
    row = {"axis": "frames", "x": 4.0, "unit": "frames", "seconds": 2.0, "peak_bytes": 2**20, "error": None}
    rows = [row, {**row, "x": 8.0, "seconds": 4.0}, {**row, "axis": "resolution", "unit": "megapixels", "x": 0.5}]
    rows += [{**row, "x": 16.0, "error": "MemoryError"}]
    figure = plot_cost(rows, {"frames": {"seconds": {"at": 0.0, "slope": 0.5, "r2": 1.0}}}, "here")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[2:] == ["frames", "resolution, megapixels"]
    assert len(figure.axes[0].lines) == 1 and "0.5 s per frame" in figure.axes[0].texts[0].get_text()
    with pytest.raises(InputError, match="no measurements"):
        plot_cost([], {}, "here")
