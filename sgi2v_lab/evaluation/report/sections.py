"""The parts of a report's page that are made of figures: its head, its tables of means, and its definitions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.sets import SetFigures
from sgi2v_lab.evaluation.report.statistics import mean, ratio_to_plain
from sgi2v_lab.evaluation.report.study import MEASURES, Study
from sgi2v_lab.evaluation.report.wording import between, plain_number
from sgi2v_lab.evaluation.trackers.track import TRACKERS

__all__ = ["SUMMARY", "Cell", "Table", "definitions", "facts", "figures_of", "summary_table"]

SUMMARY = ("objmc", "ratio", "bg_obj_ctd", "fidelity", "first_frame_psnr", "box_iou", "toy_frechet", "seconds")
ARROWS = {"lower": "↓", "higher": "↑"}


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, with a smaller line below it, and whether it is to be marked as the best."""

    text: str
    below: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its head, its rows, and which of them are set apart."""

    head: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    marked: Sequence[bool]  # one for each row


def facts(study: Study) -> dict[str, str]:
    """What was measured, on what, and when: the head of the page."""
    plan, machine = study.plan, study.plan.machine
    pairs = {(row.task.category, row.task.sample) for row in study.rows}
    counts = Counter(category for category, _ in pairs)
    first, last = (datetime.fromtimestamp(moment, UTC) for moment in study.made)
    done, planned = len(study.done), len(plan.tasks)
    return {
        "Model": f"{plan.model}, weights {', '.join(plan.weights.values())}",
        "Data set": f"{plan.data}: {plan.data_source}",
        "Samples": f"{len(pairs)} ({', '.join(f'{counts[name]} {name}' for name in study.categories)})",
        "Seeds per sample": str(plan.seeds),
        "Videos": f"{done} of {planned}" if planned > done else str(done),
        "Measured at": study.conditions,
        "Made": f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
        "Machine": f"{machine.get('device')} ({machine.get('device_name')}), {machine.get('platform')}",
        "Versions": ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items()),
    }


# --- means -----------------------------------------------------------------------------------------------------------


def figures_of(
    study: Study, name: str, category: str | None = None, sets: Mapping[str, SetFigures] | None = None
) -> dict[str, Interval]:
    """A measure of each arm and of the true video, by label; those of which it was not taken are left out."""
    if sets and name in sets:
        return {label: Interval(x, None, None, sets[name].clips) for label, x in sets[name].distances.items()}
    if name == "ratio":
        found = {label: ratio_to_plain(study, label, category) for label in study.arms}
    else:
        found = {arm.label: mean(study, arm.label, name, category) for arm in study.plan.arms}
    return {label: one for label, one in found.items() if one}


def summary_table(
    study: Study, names: Iterable[str], sets: Mapping[str, SetFigures], categories: Sequence[str | None] = (None,)
) -> Table | None:
    """A row for each arm and the true video, a column for each measure and category; None is all categories.

    Measures that were not taken are left out; None where none is left.
    """
    some = [label for label in (study.truth, *study.arms) if any(study.of(label, each) for each in categories)]
    columns = [
        (_head(name, category), _column(study, name, category, found, sets))
        for name in names
        for category in categories
        if (found := figures_of(study, name, category, sets))
    ]
    rows = []
    for label in some:
        samples = {row.task.sample for each in categories for row in study.of(label, each)}
        failed = sum(row.task.arm == label for row in study.failed)
        first = [Cell(label), Cell(str(len(samples)), f"{failed} failed" if failed else "")]
        rows.append([*first, *(cells.get(label, Cell("—")) for _, cells in columns)])
    head = [Cell(""), Cell("Samples"), *(head for head, _ in columns)]
    return Table(head, rows, [label == study.reference for label in some]) if columns else None


def _head(name: str, category: str | None) -> Cell:
    measure = MEASURES[name]
    return Cell(measure.title, " ".join(filter(None, [category, measure.unit, ARROWS[measure.better]])))


def _column(
    study: Study, name: str, category: str | None, found: Mapping[str, Interval], sets: Mapping[str, SetFigures]
) -> dict[str, Cell]:
    """The cells of one measure. A mean over fewer samples than others says over how many.

    An arm is the best only where all arms have a mean over equally many samples: samples in which some could not be
    measured may be the hard ones. The true video does not compete.
    """
    measure, most = MEASURES[name], max(one.scenes for one in found.values())
    rivals = [label for label in study.arms if study.of(label, category)]
    rivals = [label for label in rivals if name != "ratio" or study.arms[label].plain]
    comparable = len(rivals) > 1 and all(label in found and found[label].scenes == most for label in rivals)
    best = (min if measure.better == "lower" else max)(
        (found[label].value for label in rivals if label in found), default=None
    )
    cells = {}
    for label, one in found.items():
        few = f"n = {one.scenes}" if one.scenes < most else ""
        times = sets[name].ratios.get(label) if name in sets else None
        ratio = f"× {plain_number(times.value, 2)} ({between(times, 2)})" if times else ""
        below = "; ".join(filter(None, [between(one, measure.digits), ratio, few]))
        cells[label] = Cell(
            plain_number(one.value, measure.digits), below, comparable and label in rivals and one.value == best
        )
    return cells


def definitions(study: Study, sets: Mapping[str, SetFigures]) -> dict[str, str]:
    """How each measure was taken: direction, meaning, tracker with its licence, source, and where it was not taken."""
    found = {}
    for measure in MEASURES.values():
        if not (figures_of(study, measure.name) or (measure.name in sets and sets[measure.name].distances)):
            continue
        details = [row.result.details.get(measure.name, {}) for row in study.done]
        trackers = sorted({str(each["tracker"]) for each in details if "tracker" in each})
        named = [f"{name} ({TRACKERS[name].licence})" if name in TRACKERS else name for name in trackers]
        why = Counter(row.result.reasons[measure.name] for row in study.done if measure.name in row.result.reasons)
        parts = [f"{measure.better} is better. {measure.meaning[0].upper()}{measure.meaning[1:]}."]
        parts += [f"Tracker: {' and '.join(named)}."] if named else []
        parts += [f"Source: {measure.source}."]
        parts += [f"Not taken of {why.total()} videos; most often: {why.most_common(1)[0][0]}."] if why else []
        found[measure.label] = " ".join(parts)
    return found
