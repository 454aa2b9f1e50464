"""Figures of a study for documents: ratios against targets, ratios by setting, and samples as film strips."""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from sgi2v_lab.evaluation.experiments.grid import BASE
from sgi2v_lab.evaluation.report.statistics import ratio_to_plain
from sgi2v_lab.evaluation.report.strips import by_objmc, ranked
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


def plot_samples(study: Study, columns: int | None = None, pictures: Mapping[str, Image] | None = None) -> Figure:
    """The reference's samples as film strips: the true video, without control, with control.

    Args:
        study: an evaluation with its results.
        columns: show every sample, so many to a row, from the smallest ObjMC to the largest. By default it is the best,
            the median and the worst sample of each category.
        pictures: by sample, what stands large beside its strips; elsewhere it is the first frame of its first strip.

    Raises:
        InputError: there is no film strip, or one cannot be read.
    """
    pictures = pictures or {}
    if columns is None:
        found = [ranked(study.of(study.reference, name)) for name in study.categories]
        rows = [
            [_strips(study, f"{rank}, ", row, pictures) for rank, row in each.items() if row.strip] for each in found
        ]
        titles = [name for name, row in zip(study.categories, rows, strict=True) if row]
    else:
        scenes = [_strips(study, "", row, pictures) for row in by_objmc(study.of(study.reference)) if row.strip]
        rows, titles = [scenes[i : i + columns] for i in range(0, len(scenes), columns)], None
    wide = WIDE * max(map(len, rows), default=1)
    return plot_sample_grid([row for row in rows if row], titles, most=MOST, width=wide)


def _strips(study: Study, prefix: str, row: Row, pictures: Mapping[str, Image]) -> Strips:
    plain = [each for each in study.of(study.arms[study.reference].plain) if each.place == row.place]
    truth = [each for each in study.of(study.truth) if each.task.sample == row.task.sample]
    rows = {"true": truth, "no control": plain, "control": [row]}
    videos = {label: read_strip(each[0].strip, each[0].result.frames) for label, each in rows.items() if each}
    before = [f"{each.values['objmc']:.1f} → " for each in plain if "objmc" in each.values]
    name = row.task.sample.removeprefix(f"{row.task.category}-")
    title = f"{prefix}{name}: {''.join(before)}{row.values['objmc']:.1f} px"
    return Strips(title, torch.tensor(row.result.boxes), videos, pictures.get(row.task.sample))
