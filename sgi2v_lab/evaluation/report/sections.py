"""The tables of means of a report's page, and its definitions of the measures."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.sets import Sets
from sgi2v_lab.evaluation.report.statistics import mean, ratio_to_plain
from sgi2v_lab.evaluation.report.study import MEASURES, Study
from sgi2v_lab.evaluation.report.wording import between, plain_number
from sgi2v_lab.evaluation.trackers.track import TRACKERS

__all__ = ["SUMMARY", "Cell", "definitions", "figures_of", "summary_table"]

SUMMARY = ("objmc", "ratio", "bg_obj_ctd", "fidelity", "first_frame_psnr", "box_iou", "toy_frechet", "seconds")
ARROWS = {"lower": "↓", "higher": "↑"}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, smaller lines below it, and whether it is marked as the best."""

    text: str
    below: str = ""
    best: bool = False


def figures_of(study: Study, name: str, category: str | None = None, sets: Sets | None = None) -> dict[str, Interval]:
    """A measure of each arm and of the true video, by label. Arms of which it was not taken are left out."""
    if sets and name in sets:
        return {label: Interval(x, None, None, sets[name].clips) for label, x in sets[name].distances.items()}
    if name == "ratio":
        found = {label: ratio_to_plain(study, label, category) for label in study.arms}
    else:
        found = {arm.label: mean(study, arm.label, name, category) for arm in study.plan.arms}
    return {label: one for label, one in found.items() if one}


def summary_table(
    study: Study, names: Iterable[str], sets: Sets, categories: Sequence[str | None] = (None,)
) -> list[list[Cell]]:
    """A header, then a row for each arm and the true video; a column for each measure and category, None for all.

    Measures that were not taken are left out. The table is empty if none is left.
    """
    rows = {arm.label: [row for each in categories for row in study.of(arm.label, each)] for arm in study.plan.arms}
    lines = {}
    for label in (label for label, each in rows.items() if each):
        failed = sum(row.task.arm == label for row in study.failed)
        samples = len({row.task.sample for row in rows[label]})
        lines[label] = [Cell(label), Cell(str(samples), f"{failed} failed" if failed else "")]
    head = [Cell(""), Cell("Samples")]
    for measure in (MEASURES[name] for name in names):
        for category in categories:
            if cells := _column(study, measure.name, category, sets):
                about = filter(None, [category, measure.unit, ARROWS[measure.better]])
                head.append(Cell(measure.title, " ".join(about)))
                for label, line in lines.items():
                    line.append(cells.get(label, Cell("—")))
    return [head, *lines.values()] if len(head) > 2 else []


def _column(study: Study, name: str, category: str | None, sets: Sets) -> dict[str, Cell]:
    """The cells of one measure. A mean over fewer samples than its arm has says over how many.

    An arm is the best only where all arms have a mean over equally many samples: samples in which some could not be
    measured may be the hard ones. The true video does not compete.
    """
    found, measure, cells = figures_of(study, name, category, sets), MEASURES[name], {}
    rivals = [x for x, arm in study.arms.items() if study.of(x, category) and (name != "ratio" or arm.plain)]
    fair = len(rivals) > 1 and all(x in found for x in rivals) and len({found[x].scenes for x in rivals}) == 1
    values = {found[x].value for x in rivals} if fair else {}
    best = (min if measure.better == "lower" else max)(values) if len(values) > 1 else None
    for label, one in found.items():
        ratio = sets[name].ratios.get(label) if name in sets else None
        lines = [between(one, measure.digits)]
        lines += [f"× {plain_number(ratio.value, 2)}", f"({between(ratio, 2)})"] if ratio else []
        samples = {row.task.sample for row in study.of(label, category)}
        lines += [f"n = {one.scenes}"] if name not in sets and one.scenes < len(samples) else []
        is_best = label in rivals and one.value == best
        cells[label] = Cell(plain_number(one.value, measure.digits), "\n".join(filter(None, lines)), is_best)
    return cells


def definitions(study: Study, sets: Sets) -> dict[str, str]:
    """How each measure was taken: direction, meaning, tracker with its licence, source, and where it was not taken."""
    found = {}
    for measure in MEASURES.values():
        if not figures_of(study, measure.name, sets=sets):
            continue
        details = [row.result.details.get(measure.name, {}) for row in study.done]
        trackers = sorted({str(each["tracker"]) for each in details if "tracker" in each})
        named = [f"{name} ({TRACKERS[name].licence})" if name in TRACKERS else name for name in trackers]
        why = Counter(row.result.reasons[measure.name] for row in study.done if measure.name in row.result.reasons)
        parts = [f"{measure.better} is better. {measure.meaning[0].upper()}{measure.meaning[1:]}."]
        parts += [f"Tracker: {' and '.join(named)}."] if named else []
        parts.append(f"Source: {measure.source}.")
        parts += [f"Not taken of {why.total()} videos; most often: {why.most_common(1)[0][0]}."] if why else []
        found[measure.label] = " ".join(parts)
    return found
