"""Means with their intervals: as bars, along a setting.

Those of reports are small, so that two fit side by side on a desk and one fills a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

from matplotlib.figure import Figure

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import new_figure, styled

__all__ = ["Point", "plot_along", "plot_intervals"]

WIDTH = 4.1  # inches: on a phone letters are still read
OURS, OTHERS = "#D55E00", "#0072B2"  # the reference, and what is compared with it


@dataclass(frozen=True)
class Point:
    """A mean with the ends of its interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


def plot_intervals(points: Mapping[str, Point], label: str, better: str, marked: str | None = None) -> Figure:
    """One line for each setting: its mean as a dot, its interval as a bar.

    Args:
        points: label -> mean, top to bottom.
        label: what they are, with the unit.
        better: "lower" or "higher".
        marked: the label of the reference, which has a colour of its own.

    Raises:
        InputError: nothing to draw.
    """
    if not points:
        raise InputError("there are no means to draw; give at least one")
    names = [fill(name, 28) for name in points]
    lines = sum(name.count("\n") + 1 for name in names)
    with styled():
        figure = new_figure(0.75 + 0.26 * lines, width=WIDTH)
        axes = figure.subplots()
        for y, (name, point) in enumerate(points.items()):
            color = OURS if name == marked else OTHERS
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [y, y], color=color, linewidth=2.4, alpha=0.5)
            axes.plot(point.value, y, "o", color=color, markersize=5.5)
        axes.set_yticks(range(len(points)), names)
        axes.set(ylim=(len(points) - 0.4, -0.6), xlabel=f"{label}  ({better} is better)")
        axes.tick_params(axis="y", left=False)
        axes.margins(x=0.08)
        axes.grid(axis="x")
    return figure


def plot_along(
    points: Sequence[tuple[float, Point]],
    setting: str,
    label: str,
    marked: float | None = None,
    logarithmic: bool = False,
) -> Figure:
    """A measure along the values of a setting, with a band for the intervals.

    Args:
        points: (value of the setting, mean), in any order.
        setting: what is varied, with its unit.
        label: what is measured, with its unit.
        marked: the reference's value of the setting.
        logarithmic: the axis of the setting; its values must then be above 0.

    Raises:
        InputError: fewer than two points.
    """
    if len(points) < 2:
        raise InputError(f"{setting} has {len(points)} value(s); a curve needs two or more")
    points = sorted(points, key=lambda pair: pair[0])
    places = [place for place, _ in points]
    with styled():
        figure = new_figure(2.9, width=WIDTH)
        axes = figure.subplots()
        axes.plot(places, [point.value for _, point in points], marker="o", color=OTHERS)
        banded = [(place, point) for place, point in points if point.low is not None and point.high is not None]
        low, high = ([getattr(point, end) for _, point in banded] for end in ("low", "high"))
        axes.fill_between([place for place, _ in banded], low, high, color=OTHERS, alpha=0.18, linewidth=0)
        for place, point in points:
            if place == marked:
                axes.plot(place, point.value, "o", color=OURS, markersize=7)
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xticks(places, [f"{place:g}" for place in places])
            axes.minorticks_off()
        axes.set(xlabel=setting, ylabel=label)
        axes.grid(axis="y")
    return figure
