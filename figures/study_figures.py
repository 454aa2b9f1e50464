"""Figures of a study for documents: ratios against targets, ratios by setting, and samples as film strips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.sample_grid import Strips, plot_sample_grid
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.grid import BASE
from sgi2v_lab.evaluation.report.statistics import ratio_to_plain
from sgi2v_lab.evaluation.report.strips import by_objmc
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.report.targets import CONTROL_TARGETS, targets
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.plots.style import new_figure, styled
from sgi2v_lab.shapes import Image

__all__ = ["Bar", "plot_bars", "plot_claims", "plot_samples", "plot_scores"]

MOST = 6  # frames of a strip
WIDE = 6.0  # inches for each sample
GOOD, BAD, PLAIN = "#009E73", "#D55E00", "#0072B2"  # target met, target missed, no target


def plot_scores(study: Study) -> Figure:
    """ObjMC with control to without, and the toy Frechet distance likewise, against the targets.

    InputError where no sample has both.
    """
    found = {name: ratio_to_plain(study, study.reference, name) for name in study.categories}
    limits = CONTROL_TARGETS if study.plan.data == "benchmark" else {}
    control = [Bar(name, x.value, x.low, x.high, limits.get(name)) for name, x in found.items() if x]
    quality = [(each.found, each.target) for each in targets(study) if each.found and "Frechet" in each.name]
    bars = [Bar("all scored scenes", x.value, x.low, x.high, target) for x, target in quality]
    panels = {"Distance from the path (ObjMC)": control, "Toy Frechet distance to the true clips": bars}
    return plot_bars(panels, f"with control / without; {study.conditions}", "lower is better")


def plot_claims(study: Study) -> Figure:
    """A panel for each setting that a grid varies: ObjMC with control to without, for each value.

    InputError where there is no ratio.
    """
    panels: dict[str, list[Bar]] = {}
    for question in study.plan.questions:
        part = study.part(question.arms, question.categories)
        for group in dict.fromkeys(arm.group for arm in part.arms.values() if arm.group not in (BASE, "method")):
            title = f"{question.ask} ({group})" if question.ask else group.replace("_", " ").capitalize()
            shown = {label: arm for label, arm in part.arms.items() if arm.group in (BASE, group)}
            ratios = {label: found for label in shown if (found := ratio_to_plain(part, label))}
            bars = {label: (x.value, x.low, x.high, None, shown[label].group == BASE) for label, x in ratios.items()}
            panels[title] = [Bar(label, *bar) for label, bar in bars.items()]
    return plot_bars(panels, f"ObjMC with control / without; {study.conditions}", "lower is better")


def plot_samples(study: Study, columns: int = 2, pictures: Mapping[str, Image] | None = None) -> Figure:
    """Every sample of the reference as film strips: the true video, without control, with control.

    They are in the order of ObjMC, smallest first, so many `columns` to a row. `pictures`, by sample, stand large
    beside the strips; elsewhere it is the first frame of the first strip.

    InputError where there is no film strip, or one that cannot be read.
    """
    chosen = [row for row in by_objmc(study.of(study.reference)) if row.strip]
    scenes = [_strips(study, row, (pictures or {}).get(row.task.sample)) for row in chosen]
    return plot_sample_grid(scenes, columns, most=MOST, width=WIDE * columns)


def _strips(study: Study, row: Row, picture: Image | None) -> Strips:
    plain = [each for each in study.of(study.arms[study.reference].plain) if each.place == row.place]
    truth = [each for each in study.of(study.truth) if each.task.sample == row.task.sample]
    rows = {"true": truth, "no control": plain, "control": [row]}
    videos = {label: read_strip(each[0].strip, each[0].result.frames) for label, each in rows.items() if each}
    before = [f"{each.values['objmc']:.1f} → " for each in plain if "objmc" in each.values]
    name = row.task.sample.removeprefix(f"{row.task.category}-")
    title = f"{name}: {''.join(before)}{row.values['objmc']:.1f} px"
    return Strips(title, torch.tensor(row.result.boxes), videos, picture)


# --- figures against targets ------------------------------------------------------------------------------------------


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
