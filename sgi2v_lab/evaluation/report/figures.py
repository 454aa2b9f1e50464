"""Figures of a study for documents: ratios against targets, ratios by setting, and samples as film strips."""

import torch
from matplotlib.figure import Figure

from sgi2v_lab.evaluation.experiments.grid import BASE
from sgi2v_lab.evaluation.report.statistics import ratio_to_plain
from sgi2v_lab.evaluation.report.strips import ranked
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.report.targets import CONTROL_TARGETS, targets
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.plots.intervals import Bar, plot_bars
from sgi2v_lab.plots.sample_grid import Strips, plot_sample_grid

__all__ = ["plot_claims", "plot_samples", "plot_scores"]

MOST = 4  # frames of a strip
WIDE = 4.7  # inches for each sample


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


def plot_samples(study: Study) -> Figure:
    """For each category the reference's best, median and worst sample: the true video, without control, with control.

    InputError where there is no film strip, or one that cannot be read.
    """
    found = {name: ranked(study.of(study.reference, name)) for name in study.categories}
    rows = [[_strips(study, rank, row) for rank, row in each.items() if row.strip] for each in found.values()]
    titles = [name for name, row in zip(found, rows, strict=True) if row]
    wide = WIDE * max(map(len, rows), default=1)
    return plot_sample_grid([row for row in rows if row], titles, most=MOST, width=wide)


def _strips(study: Study, rank: str, row: Row) -> Strips:
    plain = [each for each in study.of(study.arms[study.reference].plain) if each.place == row.place]
    truth = [each for each in study.of(study.truth) if each.task.sample == row.task.sample]
    rows = {"true": truth, "no control": plain, "control": [row]}
    videos = {label: read_strip(each[0].strip, each[0].result.frames) for label, each in rows.items() if each}
    before = [f"{each.values['objmc']:.1f} → " for each in plain if "objmc" in each.values]
    title = f"{rank}, {row.task.sample}: {''.join(before)}{row.values['objmc']:.1f} px"
    return Strips(title, torch.tensor(row.result.boxes), videos)
