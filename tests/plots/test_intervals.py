"""A report's charts draw what they were given."""

import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.intervals import OURS, Point, plot_along, plot_intervals


def dots(axes):
    """(x, y, colour) of every single mark."""
    return [(*line.get_xydata()[0], line.get_color()) for line in axes.lines if len(line.get_xdata()) == 1]


def test_intervals_are_drawn_top_to_bottom_and_the_reference_in_its_color():
    points = {"no control": Point(30.0, 25.0, 35.0), "ours": Point(10.0, 8.0, 12.0), "one scene": Point(5.0)}
    axes = plot_intervals(points, "ObjMC, px", "lower", "ours").axes[0]
    assert [(x, y) for x, y, _ in dots(axes)] == [(30, 0), (10, 1), (5, 2)]
    assert [color == OURS for *_, color in dots(axes)] == [False, True, False]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(points)
    assert axes.yaxis_inverted() and axes.get_xlabel() == "ObjMC, px  (lower is better)"
    bars = [line.get_xdata().tolist() for line in axes.lines if len(line.get_xdata()) == 2]
    assert bars == [[25, 35], [8, 12]]
    with pytest.raises(InputError, match="no means"):
        plot_intervals({}, "ObjMC", "lower")


def test_a_curve_goes_through_its_points_in_order():
    points = [(1.0, Point(3.0, 2.0, 4.0)), (0.25, Point(5.0, 4.0, 6.0)), (0.5, Point(1.0, 0.5, 2.0))]
    axes = plot_along({"": points}, "cut-off", "ObjMC, px", marked=0.5, logarithmic=True).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[0.25, 5], [0.5, 1], [1, 3]]
    assert dots(axes) == [(0.5, 1.0, OURS)] and axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.25", "0.5", "1"]
    assert len(axes.collections) == 1, "the band"
    assert not axes.figure.legends


def test_curves_may_fall_and_have_names_and_level_lines():
    curves = {"query": [(2.0, Point(0.5, 0.4, 0.6)), (30.0, Point(0.1, 0.0, 0.2))], "key": [(2.0, Point(0.3))]}
    how = {"references": {"chance": 0.02}, "logarithmic": True, "falling": True}
    axes = plot_along(curves, "noise level", "matches", **how).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["query"].get_xydata().tolist() == [[2, 0.5], [30, 0.1]]
    assert len(axes.collections) == 1, "one has an interval"
    assert axes.xaxis_inverted() and axes.get_xscale() == "log"
    assert {"chance"} == {text.get_text() for text in axes.texts}
    assert [text.get_text() for text in axes.figure.legends[0].texts] == ["query", "key"]
    for curves in ({}, {"query": []}):
        with pytest.raises(InputError, match="no curve"):
            plot_along(curves, "noise level", "matches")
    with pytest.raises(InputError, match=r"noise level is 0.0"):
        plot_along({"query": [(0.0, Point(0.5))]}, "noise level", "matches", logarithmic=True)
