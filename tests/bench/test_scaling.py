import json

import pytest

from sgi2v_lab.bench import scaling as cost
from sgi2v_lab.bench.scaling import AXES, cost_tasks, measure_cost
from sgi2v_lab.errors import InputError
from sgi2v_lab.plots import plot_cost
from tests.helpers.tiny import TINIER as SETTINGS
from tests.helpers.tiny import WIDTH
from tests.helpers.tiny import tinier_model as tiny_model


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(cost, "COUNTS", (1, 2))
    monkeypatch.setattr(cost, "SHARES", (0.5, 1.0, 2.0))
    monkeypatch.setattr(cost, "STEPS", 2)


def test_one_thing_at_a_time_is_varied():
    for axis in AXES:
        tasks = list(cost_tasks(tiny_model(), axis))
        assert [x for x, *_ in tasks] == sorted({x for x, *_ in tasks}) and len(tasks) > 1
        found = {
            "frames": {settings.num_frames for _, settings, _ in tasks},
            "resolution": {(settings.width, settings.height) for _, settings, _ in tasks},
            "boxes": {boxes for *_, boxes in tasks},
            "iterations": {settings.iterations for _, settings, _ in tasks},
        }
        assert [name for name, values in found.items() if len(values) > 1] == [axis]
        for _, settings, _ in tasks:
            tiny_model().latent_shape(settings)  # every size is one that the model can have
    assert any(x == pytest.approx(WIDTH * SETTINGS.height / 1e6) for x, *_ in cost_tasks(tiny_model(), "resolution"))


@pytest.mark.slow
def test_what_is_measured_is_written(tmp_path):
    report = measure_cost(tmp_path, tiny_model(), ("boxes", "iterations"), progress=False)
    assert [(row["axis"], row["x"]) for row in report["rows"]] == [
        *(("boxes", 1.0), ("boxes", 2.0), ("iterations", 1.0), ("iterations", 2.0))
    ]
    assert all(row["seconds"] > row["seconds_denoise"] > 0 for row in report["rows"])
    assert all(row["peak_bytes"] >= 0 for row in report["rows"])
    assert report["machine"]["device"] == "cpu" and report["machine"]["threads"] >= 1
    assert set(report["lines"]["boxes"]) == {"seconds", "peak_bytes"}
    assert json.loads((tmp_path / "cost.json").read_text()) == report
    assert (tmp_path / "cost.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_run_that_fails_is_recorded(tmp_path, monkeypatch):
    real = cost._run

    def tight(model, settings, boxes):
        if boxes > 1:
            raise MemoryError("no room")
        return real(model, settings, boxes)

    monkeypatch.setattr(cost, "_run", tight)
    report = measure_cost(tmp_path, tiny_model(), ("boxes",), progress=False)
    assert [row.get("error") for row in report["rows"]] == [None, "MemoryError: no room"]
    assert report["lines"]["boxes"] == {}, "one point is no line"


def test_a_line_is_found_again():
    rows = [{"x": x, "seconds": 3 + 2 * x, "peak_bytes": 0 if x == 2 else x} for x in (1.0, 2.0, 4.0)]
    lines = cost._lines(rows)
    assert [lines["seconds"][name] for name in ("at", "slope", "r2")] == pytest.approx([3, 2, 1])
    assert 0 < lines["peak_bytes"]["r2"] < 0.9


def test_a_place_that_cannot_be_written_is_noticed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "_run", lambda *_: pytest.fail("it was measured first"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write .*choose a writable place"):
        measure_cost(tmp_path / "file" / "cost", tiny_model(), progress=False)


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(InputError, match="choose some of frames"):
        measure_cost(tmp_path, tiny_model(), ("money",))
    with pytest.raises(InputError, match="repeats is 0"):
        measure_cost(tmp_path, tiny_model(), repeats=0)


def test_the_plot_has_a_column_for_each_axis():
    row = {"axis": "frames", "x": 4.0, "unit": "frames", "seconds": 2.0, "peak_bytes": 2**20}
    rows = [row, {**row, "x": 8.0, "seconds": 4.0}, {**row, "axis": "resolution", "unit": "megapixels", "x": 0.5}]
    rows += [{**row, "x": 16.0, "error": "MemoryError"}]
    figure = plot_cost(rows, {"frames": {"seconds": {"at": 0.0, "slope": 0.5, "r2": 1.0}}}, "here")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[2:] == ["frames", "resolution, megapixels"]
    assert len(figure.axes[0].lines) == 1 and "0.5 s per frame" in figure.axes[0].texts[0].get_text()
    with pytest.raises(InputError, match="no measurements"):
        plot_cost([], {}, "here")
