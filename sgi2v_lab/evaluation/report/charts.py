"""A report's charts as SVG pictures inside the page, whose style sheet adapts them to dark mode."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import matplotlib
from matplotlib.figure import Figure

from sgi2v_lab.evaluation.report.sections import figures_of
from sgi2v_lab.evaluation.report.study import MEASURES, Study
from sgi2v_lab.plots.intervals import Point, plot_along, plot_intervals
from sgi2v_lab.plots.style import styled

__all__ = ["Chart", "curves", "intervals"]

RANGES = {"control_steps": "middle of the control steps"}
LOGARITHMIC = 4.0  # from this ratio of the largest to the smallest on, an axis is logarithmic


@dataclass(frozen=True)
class Chart:
    """A chart as a data URI, and its caption."""

    uri: str
    caption: str


def intervals(study: Study, names: Iterable[str]) -> list[Chart]:
    """The means of every arm, one chart for each measure."""
    charts = []
    for measure in (MEASURES[name] for name in names):
        points = _points(study, measure.name)
        if len(points) > 1:
            figure = plot_intervals(points, measure.label, measure.better, study.reference)
            charts.append(_chart(study, figure, f"{measure.title}: means over samples with 95% intervals"))
    return charts


def curves(study: Study, names: Iterable[str]) -> list[Chart]:
    """A measure along each setting that is a number and has two values or more."""
    charts, measures = [], [MEASURES[name] for name in names]
    for name, arms in _settings_along(study).items():
        title, own = RANGES.get(name, name.replace("_", " ")), _number(study.plan.base[name])
        for measure in measures:
            found = _points(study, measure.name)
            points = [(place, found[label]) for place, label in arms.items() if label in found]
            if len(points) > 1:
                places = [place for place, _ in points]
                logarithmic = min(places) > 0 and max(places) / min(places) >= LOGARITHMIC
                label = f"{measure.label} ({measure.better} is better)"
                figure = plot_along({"": points}, title, label, own, logarithmic=logarithmic)
                dot = f"the band is the 95% interval, the larger dot {study.reference}"
                charts.append(_chart(study, figure, f"{measure.title} along {title}; {dot}"))
    return charts


def _points(study: Study, name: str) -> dict[str, Point]:
    found = figures_of(study, name)
    return {x: Point(found[x].value, found[x].low, found[x].high) for x in study.arms if x in found}


def _settings_along(study: Study) -> dict[str, dict[float, str]]:
    """By numeric setting, the reference and the arms that differ from it in this alone, at their numbers."""
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
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, int) for each in value):
        return sum(value) / 2
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _chart(study: Study, figure: Figure, caption: str) -> Chart:
    svg = BytesIO()
    with styled(), matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode("ascii")
    return Chart(uri, f"{caption}; {study.conditions}")
