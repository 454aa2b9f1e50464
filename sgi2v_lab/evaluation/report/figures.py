"""Figures of a study for documents: ratios against targets, ratios by setting, and samples as film strips."""

import torch
from matplotlib.figure import Figure

from sgi2v_lab.evaluation.experiments.grid import BASE
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.sets import set_figures
from sgi2v_lab.evaluation.report.statistics import ratio_to_plain
from sgi2v_lab.evaluation.report.strips import ranked
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.report.targets import CATEGORY_LABELS, CONTROL_TARGETS, FRECHET_TARGET, scored
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.plots.intervals import Bar, plot_bars
from sgi2v_lab.plots.sample_grid import Strips, plot_sample_grid

__all__ = ["plot_claims", "plot_samples", "plot_scores"]

MOST = 4  # frames of a strip
WIDE = 4.7  # inches for each sample


def plot_scores(study: Study) -> Figure:
    """ObjMC with control divided by ObjMC without, for each category of the reference, and the toy Fréchet distance
    likewise, with intervals and the benchmark's targets.

    InputError where no sample has both.
    """
    ours = study.reference
    limits = CONTROL_TARGETS if study.plan.data == "benchmark" else {}
    ratios = {name: ratio_to_plain(study, ours, name) for name in study.categories}
    control = [
        _bar(CATEGORY_LABELS.get(name, name), found, target=limits.get(name)) for name, found in ratios.items() if found
    ]
    sets = set_figures(scored(study, ours)).get("toy_frechet") if limits else None
    quality = [_bar("all scored scenes", sets.ratios[ours], target=FRECHET_TARGET)] if sets and sets.ratios else []
    panels = {"Distance from the path (ObjMC)": control, "Toy Fréchet distance to the true clips": quality}
    return plot_bars(panels, f"with control / without; {study.conditions}", "lower is better")


def plot_claims(study: Study) -> Figure:
    """One panel for each setting that a grid varies: ObjMC with control divided by ObjMC without, for each value.

    InputError where there is no ratio.
    """
    panels: dict[str, list[Bar]] = {}
    for question in study.plan.questions:
        part = study.part(question.arms, question.categories)
        base = [label for label, arm in part.arms.items() if arm.group == BASE]
        for group in dict.fromkeys(arm.group for arm in part.arms.values() if arm.group not in (BASE, "method")):
            title = group.replace("_", " ").capitalize()
            title = f"{question.ask} {title}" if question.ask else title
            for label in [*base, *(label for label, arm in part.arms.items() if arm.group == group)]:
                if found := ratio_to_plain(part, label):
                    panels.setdefault(title, []).append(_bar(label, found, marked=label in base))
    return plot_bars(panels, f"ObjMC with control / without; {study.conditions}", "lower is better")


def plot_samples(study: Study) -> Figure:
    """For each category, the best, the median and the worst sample of the reference by ObjMC: the true video where
    there is one, without control, with control.

    InputError where no film strip can be read.
    """
    plain = study.arms[study.reference].plain
    rows, titles = [], []
    for category in study.categories:
        chosen = ranked(study.of(study.reference, category))
        shown = [found for rank, row in chosen.items() if (found := _strips(study, rank, row, plain))]
        if shown:
            rows.append(shown)
            titles.append(CATEGORY_LABELS.get(category, category).capitalize())
    return plot_sample_grid(rows, titles, most=MOST, width=WIDE * max(map(len, rows), default=1))


def _strips(study: Study, rank: str, row: Row, plain: str | None) -> Strips | None:
    sources = {
        "true": [each for each in study.of(study.truth) if each.task.sample == row.task.sample],
        "without control": [each for each in study.of(plain) if each.place == row.place],
        "with control": [row],
    }
    found = {label: rows[0] for label, rows in sources.items() if rows and rows[0].strip}
    videos = {label: read_strip(each.strip, each.result.frames) for label, each in found.items()}
    before = [each.values["objmc"] for each in sources["without control"] if "objmc" in each.values]
    start = f"{before[0]:.1f} → " if before else ""
    title = f"{rank}, {row.task.sample}: {start}{row.values['objmc']:.1f} px"
    return Strips(title, torch.tensor(row.result.boxes), videos) if videos else None


def _bar(label: str, found: Interval, target: float | None = None, marked: bool = False) -> Bar:
    return Bar(label, found.value, found.low, found.high, target, marked)
