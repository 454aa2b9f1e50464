"""Means with their intervals: as bars, against targets, along a setting.

Those of reports are small, so that two fit side by side on a desk and one fills a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from textwrap import fill

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import checked_any, mark_level, new_figure, styled

__all__ = ["Bar", "Point", "plot_along", "plot_bars", "plot_intervals"]

WIDTH = 4.1  # inches: on a phone letters are still read
WIDE = 7.0  # with a legend: 700 px at the style's 100 dots per inch
LINES = ("-", "--", ":", "-.")
OURS, OTHERS = "#D55E00", "#0072B2"  # the reference, and what is compared with it
GOOD, BAD, PLAIN = "#009E73", "#D55E00", "#0072B2"  # target met, target missed, no target


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


# --- against targets --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """One figure of a group: its value and interval, and the target that it must stay below, where there is one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    target: float | None = None
    marked: bool = False  # as the setting that the model has of its own


def plot_bars(groups: Mapping[str, Sequence[Bar]], unit: str, best: str = "") -> Figure:
    """Dots with intervals, a panel for each group, one line for each figure; targets as ticks that must not be passed.

    Args:
        groups: title -> figures, top to bottom.
        unit: what the figures are, with their unit; the label of the axis.
        best: a remark on the axis, such as "lower is better".

    Raises:
        InputError: nothing to draw.
    """
    groups = {title: bars for title, bars in groups.items() if bars}
    if not groups:
        raise InputError("there are no figures to draw; give at least one")
    lengths = [len(bars) for bars in groups.values()]
    targeted = any(bar.target is not None for bars in groups.values() for bar in bars)
    ends = [v for bars in groups.values() for bar in bars for v in (bar.value, bar.high, bar.target) if v is not None]
    with styled():
        figure = new_figure(sum(0.27 * n + 0.5 for n in lengths) + 0.5)
        axes = figure.subplots(len(groups), squeeze=False, sharex=True, height_ratios=[n + 1 for n in lengths])[:, 0]
        for one, (title, bars) in zip(axes, groups.items(), strict=True):
            one.set_title(title, loc="left", weight="bold")
            one.set_yticks(range(len(bars)), [bar.label for bar in bars])
            one.set(ylim=(len(bars) - 0.4, -0.6), xlim=(0, 1.08 * max(ends)))
            one.tick_params(left=False, labelbottom=True)
            one.grid(axis="x")
            for y, bar in enumerate(bars):
                _draw_bar(one, y, bar)
        axes[-1].set_xlabel(f"{unit}{f' ({best})' if best else ''}")
        handles = [Line2D([], [], color=PLAIN, marker="o", label="measured, with its 95% interval")]
        if targeted:
            handles = [
                Line2D([], [], color=GOOD, marker="o", label="measured, with its 95% interval: target met"),
                Line2D([], [], color=BAD, marker="o", label="not met"),
                Line2D([], [], color="#222222", marker="|", ms=11, mew=1.8, linestyle="none", label="target, at most"),
            ]
        if any(bar.marked for bars in groups.values() for bar in bars):
            ring = {"marker": "o", "mfc": "white", "mec": "black", "mew": 1.5, "linestyle": "none"}
            handles.append(Line2D([], [], label="the model's own setting", **ring))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_bar(axes: Axes, y: int, bar: Bar) -> None:
    color = PLAIN if bar.target is None else GOOD if bar.value <= bar.target else BAD
    if bar.low is not None and bar.high is not None:
        axes.plot([bar.low, bar.high], [y, y], color=color, linewidth=2.2, alpha=0.55)
    axes.plot(bar.value, y, "o", color=color, ms=6, mec="black" if bar.marked else color, mew=1.5)
    if bar.target is not None:
        axes.plot(bar.target, y, "|", color="#222222", ms=14, mew=1.8)
    axes.annotate(
        f"{bar.value:.2f}",
        (bar.value, y),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        fontsize=7,
        color="#222222",
    )
