"""The tables of a report's page, as rows of cells that the template only has to set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.metrics.published import PUBLISHED, TRACKING, ratio
from sgi2v_lab.evaluation.report.measures import Measure
from sgi2v_lab.evaluation.report.sets import SetFigures
from sgi2v_lab.evaluation.report.statistics import Comparison, compare_all, means, ratio_to_plain
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.evaluation.report.verdict import who_is_better
from sgi2v_lab.evaluation.report.wording import between, count, number, p_value, plain_number
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES

__all__ = [
    "Cell",
    "Table",
    "category_title",
    "facts",
    "paired_table",
    "published_table",
    "summary_table",
    "tracking_table",
]

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
    counts = {name: len({row.scene for row in study.rows if row.category == name}) for name in study.categories}
    scenes = ", ".join(f"{number} {name}" for name, number in counts.items())
    sizes = sorted({(*row.resolution, row.frames) for row in study.done if row.resolution})
    trackers = sorted({row.tracker for row in study.done if row.tracker})
    versions = study.machine.get("versions", {})
    found = {
        "Model": f"{study.model}, weights {study.fingerprint}",
        "Data set": study.data,
        "Scenes": f"{sum(counts.values())} ({scenes})",
        "Seeds per scene": str(study.seeds),
        "Videos": f"{len(study.done)} of {study.planned}" if study.planned > len(study.done) else str(len(study.done)),
        "Tracker": ", ".join(trackers) or "not noted",
        "Resolution": "; ".join(f"{width} × {height} px, {frames} frames" for width, height, frames in sizes),
        "Made": _dates(study.made),
    }
    if study.machine:
        device, name = study.machine.get("device"), study.machine.get("device_name")
        found["Machine"] = f"{device} ({name}), {study.machine.get('platform')}"
        found["Versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    else:
        found["Machine"] = "not noted"
    return found


def _dates(span: tuple[float, float] | None) -> str:
    if span is None:
        return "not noted"
    first, last = (datetime.fromtimestamp(moment, UTC) for moment in span)
    end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"{first:%Y-%m-%d %H:%M} to {end} UTC"


# --- means -----------------------------------------------------------------------------------------------------------


def summary_table(study: Study, category: str | None = None, sets: SetFigures | None = None) -> Table:
    """A row for each arm: the mean of each measure with its interval, the ratio to no control, the set's distance."""
    found = {label: means(study, label, category) for label in study.arms}
    found = {label: values for label, values in found.items() if values}
    ratios = {label: ratio_to_plain(study, label, category) for label in found}
    distances = sets.distances if sets else {}
    head = [Cell("", ""), Cell("Scenes")]
    columns: list[dict[str, Cell]] = []
    for measure in study.measures:
        values = {label: each[measure.name] for label, each in found.items() if measure.name in each}
        if values:
            head.append(_head(measure))
            columns.append(_column(values, measure.digits, measure.better, len(values) == len(found)))
        if measure.name == "objmc" and any(ratios.values()):
            known = {label: one for label, one in ratios.items() if one}
            head.append(Cell("ObjMC ratio", f"to no control {ARROWS['lower']}"))
            columns.append(_column(known, 2, "lower"))
    if distances:
        best = min(distances.values())
        head.append(Cell("Toy Fréchet", f"of the set {ARROWS['lower']}"))
        columns.append(
            {
                label: Cell(plain_number(value, 1), _times(sets.ratios.get(label)), value == best)
                for label, value in distances.items()
            }
        )
    rows = []
    for label in found:
        scenes = len({row.scene for row in study.of(label, category)})
        failed = sum(row.setting == label and category in (None, row.category) for row in study.failed)
        first = [Cell(label), Cell(str(scenes), f"{failed} failed" if failed else "")]
        rows.append([*first, *(column.get(label, Cell("—")) for column in columns)])
    return Table(head, rows, [label == study.reference for label in found])


def _head(measure: Measure) -> Cell:
    return Cell(measure.title, f"{measure.unit} {ARROWS[measure.better]}".strip())


def _column(values: Mapping[str, Interval], digits: int, better: str, everyone: bool = True) -> dict[str, Cell]:
    """The cells of one measure. A mean over fewer scenes than others says over how many.

    One is the best only where all are over as many scenes and, as `everyone` says, nobody is missing: scenes in
    which some could not be measured may be the hard ones.
    """
    most = max(one.scenes for one in values.values())
    best = (min if better == "lower" else max)(one.value for one in values.values())
    comparable = everyone and len(values) > 1 and all(one.scenes == most for one in values.values())
    cells = {}
    for label, one in values.items():
        few = [f"n = {one.scenes}"] if one.scenes < most else []
        below = "; ".join(filter(None, [between(one, digits), *few]))
        cells[label] = Cell(plain_number(one.value, digits), below, comparable and one.value == best)
    return cells


def _times(found: Interval | None) -> str:
    if found is None:
        return ""
    ends = between(found, 2)
    return f"× {found.value:.2f} ({ends})" if ends else f"× {found.value:.2f}"


# --- paired tests ----------------------------------------------------------------------------------------------------


def paired_table(study: Study, measure: Measure, category: str | None = None) -> Table | None:
    """A row for each arm against the reference, with a sentence on who wins; None where nothing can be compared."""
    found = compare_all(study, measure.name, category)
    if not found:
        return None
    head = [
        Cell(f"against {study.reference}"),
        Cell("Scenes", "n"),
        Cell("Difference", f"{measure.unit}, 95% interval".lstrip(", ")),
        Cell("Better in", "scenes"),
        Cell("Effect", "rank-biserial r"),
        Cell("p", "Wilcoxon"),
        Cell("p", "after Holm"),
        Cell("In words"),
    ]
    rows = [_test(one, measure) for one in found.values()]
    return Table(head, rows, [one.sure for one in found.values()])


def _test(one: Comparison, measure: Measure) -> list[Cell]:
    return [
        Cell(one.setting),
        Cell(str(one.scenes)),
        Cell(
            plain_number(one.difference.value, measure.digits, signed=True),
            between(one.difference, measure.digits, signed=True),
        ),
        Cell(f"{one.better} of {one.scenes}"),
        Cell(plain_number(one.effect, 2, signed=True)),
        Cell(p_value(one.p)),
        Cell(p_value(one.p_holm), best=one.sure),
        Cell(who_is_better(one)),
    ]


# --- what others have published --------------------------------------------------------------------------------------


def published_table(study: Study, sets: SetFigures) -> Table:
    """SG-I2V's table 1, and our own rows below it, each marked with where it is from."""
    head = [
        Cell("Method"),
        Cell("Where from"),
        Cell("ObjMC", "px ↓"),
        Cell("Ratio", "to its own no control ↓"),
        Cell("FID", "↓"),
        Cell("FVD", "↓"),
        Cell("Toy Fréchet", "↓"),
        Cell("Measured on"),
    ]
    rows = [
        [
            Cell(row.method, row.kind),
            Cell("published", row.source),
            Cell(f"{row.objmc:.2f}"),
            Cell("—" if ratio(row) is None else f"{ratio(row):.2f}"),
            Cell(f"{row.fid:.2f}"),
            Cell(f"{row.fvd:.2f}"),
            Cell("—"),
            Cell(f"VIPSeg, {row.width} × {row.height} px, tracked by CoTracker"),
        ]
        for row in PUBLISHED
    ]
    ours = _ours(study)
    for label in ours:
        mean, times = means(study, label).get("objmc"), ratio_to_plain(study, label)
        about, arm = study.of(label)[0], study.arms[label]
        width, height = about.resolution
        distance = sets.distances.get(label)
        rows.append(
            [
                Cell(label),
                Cell("measured here", count(mean.scenes, "scene") if mean else ""),
                Cell(number(mean.value, "objmc").removesuffix(" px"), between(mean, 1)) if mean else Cell("—"),
                Cell(f"{times.value:.2f}", between(times, 2)) if times else Cell("—"),
                Cell("—"),
                Cell("—"),
                Cell("—" if distance is None else plain_number(distance, 1)),
                Cell(
                    f"{study.data}, {width} × {height} px, model {study.model}, tracker {about.tracker}",
                    arm.source or "",
                ),
            ]
        )
    return Table(head, rows, [False] * len(PUBLISHED) + [True] * len(ours))


def tracking_table(study: Study) -> Table | None:
    """What Time-to-Move's paper says of both methods on SVD; None where neither is measured here."""
    methods = {arm.method for arm in study.arms.values()}
    if not methods & {row.baseline for row in TRACKING}:
        return None
    head = [
        Cell("Method"),
        Cell("Where from"),
        Cell("Object", "distance to path ↓"),
        Cell("Background", "to object ↑"),
    ]
    rows = [
        [Cell(row.method), Cell("published", row.source), Cell(f"{row.object:.2f}"), Cell(f"{row.background:.1f}")]
        for row in TRACKING
    ]
    return Table(head, rows, [False] * len(rows))


def category_title(name: str) -> str:
    """What a category of scenes is."""
    return CATEGORIES.get(name, name)


def _ours(study: Study) -> list[str]:
    """The arms that stand beside the published ones: all methods; of an ablation no control and the reference."""
    if study.kind == "methods":
        return [label for label in study.arms if study.of(label)]
    plain = study.arms[study.reference].plain
    return [label for label in (plain, study.reference) if label and study.of(label)]
