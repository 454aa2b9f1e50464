"""Means with their intervals: one below the other, or along a setting.

Those of reports are small, so that two fit side by side on a desk and one fills a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from textwrap import fill

from matplotlib import colormaps
from matplotlib.figure import Figure

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import checked_any, mark_level, new_figure, styled

__all__ = ["Point", "plot_along", "plot_intervals"]

WIDTH = 4.1  # inches: on a phone letters are still read
WIDE = 7.0  # with a legend: 700 px at the style's 100 dots per inch
LINES = ("-", "--", ":", "-.")
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
    checked_any(points, "means", "{'SG-I2V': Point(9.0, 8.0, 10.0)}")
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
    curves: Mapping[str, Sequence[tuple[float, Point]]],
    setting: str,
    label: str,
    marked: float | None = None,
    references: Mapping[str, float] | None = None,
    logarithmic: bool = False,
    falling: bool = False,
) -> Figure:
    """A measure along the values of a setting, a line for each label, with bands for the intervals.

    Args:
        curves: label -> (value of the setting, mean), in any order; "" for a line that needs no label.
        setting: what is varied, with its unit.
        label: what is measured, with its unit.
        marked: the reference's value of the setting.
        references: level lines by name, such as {"chance": 0.02}.
        logarithmic: the axis of the setting; its values must then be above 0.
        falling: whether the setting falls from left to right, as the noise level in denoising.

    Raises:
        InputError: no curves, an empty one, or a value that is not above 0 on a logarithmic axis.
    """
    if not curves or not all(curves.values()):
        raise InputError("there is no curve to draw, or an empty one: expected a mean at one value or more")
    places = sorted({place for curve in curves.values() for place, _ in curve})
    if logarithmic and not places[0] > 0:
        raise InputError(f"{setting} is {places[0]}: expected values above 0, as the axis is logarithmic")
    labelled = any(curves)
    with styled():
        figure = new_figure(3.4, width=WIDE) if labelled else new_figure(2.9, width=WIDTH)
        axes = figure.subplots()
        axes.set_prop_cycle(color=[OTHERS] if len(curves) == 1 else colormaps["tab10"].colors)
        for (name, curve), style in zip(curves.items(), cycle(LINES)):
            curve = sorted(curve, key=lambda pair: pair[0])
            means = [point.value for _, point in curve]
            (line,) = axes.plot([place for place, _ in curve], means, style, marker="o", label=name)
            banded = [(place, p.low, p.high) for place, p in curve if p.low is not None and p.high is not None]
            if banded:
                alpha = max(0.18 / len(curves), 0.05)
                axes.fill_between(*zip(*banded, strict=True), color=line.get_color(), alpha=alpha, linewidth=0)
            for place, point in curve:
                if place == marked:
                    axes.plot(place, point.value, "o", color=OURS, markersize=7)
        for name, value in (references or {}).items():
            mark_level(axes, value, name)
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xticks(places, [f"{place:.3g}" for place in places], fontsize=7 if len(places) > 8 else None)
            axes.minorticks_off()
        if falling:
            axes.invert_xaxis()
        axes.set(xlabel=setting, ylabel=label)
        axes.grid(axis="y")
        if labelled:
            figure.legend(loc="outside right upper")
    return figure
