"""Figures of a study for documents: ratios against targets, ratios by setting, and samples as film strips."""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from sgi2v_lab.evaluation.experiments.grid import BASE
from sgi2v_lab.evaluation.report.statistics import ratio_to_plain
from sgi2v_lab.evaluation.report.strips import by_objmc
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.report.targets import CONTROL_TARGETS, targets
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.plots.intervals import Bar, plot_bars
from sgi2v_lab.plots.sample_grid import Strips, plot_sample_grid
from sgi2v_lab.shapes import Image

__all__ = ["plot_claims", "plot_samples", "plot_scores"]

MOST = 6  # frames of a strip
WIDE = 6.0  # inches for each sample


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
