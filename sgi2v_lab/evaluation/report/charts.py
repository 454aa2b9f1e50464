"""A report's charts as inline SVG whose colours are the page's, so that they follow its light and dark theme."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO

import matplotlib
from matplotlib.figure import Figure

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.sections import figures_of
from sgi2v_lab.evaluation.report.study import MEASURES, Study
from sgi2v_lab.plots.intervals import Point, plot_along, plot_intervals
from sgi2v_lab.plots.style import styled

with needs("evaluation"):
    from markupsafe import Markup

__all__ = ["Chart", "curves", "intervals", "to_svg"]

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
RANGES = {"control_steps": "middle of the control steps"}
LOGARITHMIC = 4.0  # from this ratio of the largest to the smallest on, an axis is logarithmic


@dataclass(frozen=True)
class Chart:
    """A drawing, and what it says to those who cannot see it."""

    svg: Markup
    caption: str


def intervals(study: Study, names: Iterable[str]) -> list[Chart]:
    """The means of every arm, one chart for each measure."""
    charts = []
    for measure in (MEASURES[name] for name in names):
        found = figures_of(study, measure.name)
        points = {label: _point(found[label]) for label in study.arms if label in found}
        if len(points) > 1:
            figure = plot_intervals(points, measure.label, measure.better, study.reference)
            charts.append(_chart(study, figure, f"{measure.title}: means over samples with 95% intervals"))
    return charts


def curves(study: Study, names: Iterable[str]) -> list[Chart]:
    """A measure along each setting that is a number and has two values or more."""
    charts, measures = [], [MEASURES[name] for name in names]
    for name, arms in _settings_along(study).items():
        for measure in measures:
            found = figures_of(study, measure.name)
            points = [(place, _point(found[label])) for place, label in arms.items() if label in found]
            if len(points) < 2:
                continue
            places = [place for place, _ in points]
            own = next((place for place, label in arms.items() if label == study.reference), None)
            logarithmic = min(places) > 0 and max(places) / min(places) >= LOGARITHMIC
            title = RANGES.get(name, name.replace("_", " "))
            label = f"{measure.label} ({measure.better} is better)"
            caption = f"{measure.title} along {title}; the band is the 95% interval, the larger dot {study.reference}"
            charts.append(_chart(study, plot_along(points, title, label, own, logarithmic), caption))
    return charts


def _settings_along(study: Study) -> dict[str, dict[float, str]]:
    """By numeric setting, the arms that differ from the reference in it alone, at the numbers that it has there."""
    own, base = study.arms[study.reference], study.plan.base
    found: dict[str, dict[float, str]] = {}
    for label, arm in study.arms.items():
        changed = [name for name, value in arm.changes.items() if value != base.get(name, value)]
        if len(changed) == 1 and (arm.method, arm.dtype) == (own.method, own.dtype):
            place, start = _number(arm.changes[changed[0]]), _number(base.get(changed[0]))
            if place is not None and start is not None:
                found.setdefault(changed[0], {start: study.reference})[place] = label
    return found


def _number(value: object) -> float | None:
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(each, int) for each in value):
        return sum(value) / 2
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _point(found: Interval) -> Point:
    return Point(found.value, found.low, found.high)


def _chart(study: Study, figure: Figure, caption: str) -> Chart:
    return Chart(to_svg(figure, caption), f"{caption}; {study.conditions}")


def to_svg(figure: Figure, title: str) -> Markup:
    """A figure as an `svg` element for the inside of a page: text stays text, colours are the page's variables."""
    text = StringIO()
    with styled(), matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z_.]+_?\d+"', "", svg)  # of groups; a page has several drawings
    for color, name in COLORS.items():
        svg = re.sub(f"#{color}", f"var(--{name})", svg, flags=re.IGNORECASE)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--sans)", svg)
    head = re.match(r"<svg[^>]*>", svg)[0]
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    opened = f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{Markup.escape(title)}">'
    return Markup(opened + svg[len(head) :].strip())
