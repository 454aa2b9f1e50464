"""A report's charts as inline SVG whose colours are the page's, so that they follow its light and dark theme."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO

import matplotlib
from matplotlib.figure import Figure

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.report.measures import MEASURES, Measure
from sgi2v_lab.evaluation.report.sets import SetFigures
from sgi2v_lab.evaluation.report.statistics import means
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.plots.intervals import Point, plot_along, plot_intervals, plot_trade_off
from sgi2v_lab.plots.style import styled

with needs("evaluation"):
    from markupsafe import Markup

__all__ = ["Chart", "curves", "intervals", "to_svg", "trade_offs"]

# the style sheet's colours, and the names that the page has for them
COLORS = {
    "222222": "ink",
    "666666": "soft",
    "e4e4e4": "rule",
    "d55e00": "vermilion",
    "0072b2": "blue",
    "009e73": "green",
    "cc79a7": "pink",
    "e69f00": "orange",
    "56b4e9": "sky",
}
SHOWN = ("objmc", "psnr", "box_iou")  # those of which the means are drawn
AXES = ("objmc", "psnr")  # those that are drawn along a setting
FEW = 8  # arms, each of which has a mark of its own
RANGES = {"control_steps": "middle of the control steps"}
LOGARITHMIC = 4.0  # from this ratio of the largest to the smallest on, an axis is logarithmic


@dataclass(frozen=True)
class Chart:
    """A drawing, and what it says to those who cannot see it."""

    svg: Markup
    caption: str


def intervals(study: Study) -> list[Chart]:
    """The means of every arm, one chart for each of the measures that matter most."""
    charts = []
    for measure in study.measures:
        if measure.name not in SHOWN:
            continue
        points = {label: _point(means(study, label), measure.name) for label in study.arms}
        points = {label: point for label, point in points.items() if point}
        if len(points) < 2:
            continue
        figure = plot_intervals(points, measure.label, measure.better, study.reference)
        charts.append(_chart(figure, f"{measure.title}: mean over scenes and 95% interval of each setting"))
    return charts


def curves(study: Study) -> list[Chart]:
    """A measure along each setting that is a number and has two values or more."""
    charts = []
    for name, arms in _axes(study).items():
        for measure in (MEASURES[each] for each in AXES):
            points = [(place, _point(means(study, label), measure.name)) for place, label in arms.items()]
            points = [(place, point) for place, point in points if point]
            if len(points) < 2:
                continue
            places = [place for place, _ in points]
            logarithmic = min(places) > 0 and max(places) / min(places) >= LOGARITHMIC
            title = RANGES.get(name, name.replace("_", " "))
            own = next((place for place, label in arms.items() if label == study.reference), None)
            charts.append(
                _chart(
                    plot_along(points, title, f"{measure.label} ({measure.better} is better)", own, logarithmic),
                    f"{measure.title} along {title}; the band is the 95% interval, the larger dot {study.reference}",
                )
            )
    return charts


def trade_offs(study: Study, sets: SetFigures) -> list[Chart]:
    """ObjMC against what it may cost: PSNR of the first frame, and the toy Frechet distance where it was taken."""
    found = {label: means(study, label) for label in study.arms}
    groups = {label: label if len(study.arms) <= FEW else arm.group for label, arm in study.arms.items()}
    charts = []
    for measure in (MEASURES["psnr"], MEASURES["box_iou"], MEASURES["background_drift"]):
        points = {
            label: (_point(values, "objmc"), _point(values, measure.name))
            for label, values in found.items()
            # means over other scenes than those of ObjMC would not compare
            if measure.name in values and "objmc" in values and values[measure.name].scenes == values["objmc"].scenes
        }
        if len(points) > 1:
            charts.append(_trade_off(study, points, groups, _towards(measure), measure.title))
    points = {
        label: (_point(found[label], "objmc"), Point(distance))
        for label, distance in sets.distances.items()
        if "objmc" in found[label]
    }
    if len(points) > 1:
        charts.append(
            _trade_off(study, points, groups, "Toy Fréchet distance  (lower is better)", "toy Fréchet distance")
        )
    return charts


def _trade_off(study: Study, points: Mapping, groups: Mapping[str, str], label: str, title: str) -> Chart:
    figure = plot_trade_off(points, (_towards(MEASURES["objmc"]), label), groups, study.reference)
    return _chart(figure, f"ObjMC against {title}: means over scenes, crosses are 95% intervals")


def _towards(measure: Measure) -> str:
    return f"{measure.label}  ({measure.better} is better)"


def _point(values: Mapping, name: str) -> Point | None:
    found = values.get(name)
    return None if found is None else Point(found.value, found.low, found.high)


def _axes(study: Study) -> dict[str, dict[float, str]]:
    """By setting, the arms that differ from the reference in it alone, at the numbers that it has there."""
    found: dict[str, dict[float, str]] = {}
    for label, arm in study.arms.items():
        changed = {name: value for name, value in arm.changes.items() if value != study.base.get(name, value)}
        if len(changed) == 1:
            ((name, value),) = changed.items()
            if (place := _number(value)) is not None:
                found.setdefault(name, {})[place] = label
    for name, arms in found.items():
        if (own := _number(study.base.get(name))) is not None:
            arms[own] = study.reference
    return found


def _number(value: object) -> float | None:
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(each, int) for each in value):
        return sum(value) / 2
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# --- SVG -------------------------------------------------------------------------------------------------------------


def _chart(figure: Figure, caption: str) -> Chart:
    return Chart(to_svg(figure, caption), caption)


def to_svg(figure: Figure, title: str) -> Markup:
    """A figure as an `svg` element for the inside of a page: text stays text, colours are the page's variables."""
    text = StringIO()
    with styled(), matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z_]+_?\d+"', "", svg)  # of groups; a page has several drawings
    svg = re.sub(r'<g id="(?:axes|figure|patch|text|line2d|matplotlib\.axis|legend|xtick|ytick)_\d+">', "<g>", svg)
    for color, name in COLORS.items():
        svg = re.sub(f"#{color}", f"var(--{name})", svg, flags=re.IGNORECASE)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--sans)", svg)
    label = Markup.escape(title)
    head = re.match(r"<svg[^>]*>", svg)[0]
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    opened = f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{label}">'
    return Markup(opened + svg[len(head) :].strip())
