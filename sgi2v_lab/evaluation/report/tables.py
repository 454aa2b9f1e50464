"""The results for other programs: results.csv, one row for each video, and summary.json."""

import csv
from pathlib import Path

from pydantic import BaseModel

from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.claims import Claim, claims_of
from sgi2v_lab.evaluation.report.sections import figures_of
from sgi2v_lab.evaluation.report.sets import Sets
from sgi2v_lab.evaluation.report.study import MEASURES, TAKEN, Study
from sgi2v_lab.evaluation.report.targets import Target, targets
from sgi2v_lab.evaluation.report.verdict import Verdict, verdict
from sgi2v_lab.files import whole_file

__all__ = ["ArmSummary", "Summary", "summarize", "write_table"]


class ArmSummary(BaseModel):
    """One arm's figures by names in `MEASURES`: means over samples, ratio to no control, distances of the set."""

    figures: dict[str, Interval] = {}
    by_category: dict[str, dict[str, Interval]] = {}
    set_ratios: dict[str, Interval] = {}  # of the set's distances to those of the arm's own no control


class Summary(BaseModel):
    """summary.json: `Summary.model_validate_json(path.read_text())` reads it."""

    title: str
    data: str
    model: str
    weights: dict[str, str]
    conditions: str  # resolution, frames, tracker
    reference: str
    verdict: Verdict
    claims: list[Claim]
    targets: list[Target]
    videos: int
    failed: int
    unfinished: int
    arms: dict[str, ArmSummary]


def summarize(study: Study, sets: Sets) -> Summary:
    """All that the report says, as numbers."""
    claims, goals = claims_of(study), targets(study)
    arms = {arm.label: ArmSummary() for arm in study.plan.arms}
    for category in (None, *study.categories):
        for name in MEASURES:
            for label, found in figures_of(study, name, category, None if category else sets).items():
                arm = arms[label]
                (arm.by_category.setdefault(category, {}) if category else arm.figures)[name] = found
    for name, each in sets.items():
        for label, ratio in each.ratios.items():
            arms[label].set_ratios[name] = ratio
    return Summary(
        **study.plan.model_dump(include={"title", "data", "model", "weights"}),
        conditions=study.conditions,
        reference=study.reference,
        verdict=verdict(study, claims),
        claims=claims,
        targets=goals,
        videos=len(study.done),
        failed=len(study.failed),
        unfinished=len(study.unfinished),
        arms=arms,
    )


def write_table(study: Study, path: Path) -> None:
    """Write results.csv: a row for each video or failure; what was not measured is empty.

    `objmc_uncontrolled` is that of the same sample and seed. InputError where the file cannot be written.
    """
    plain = {(row.task.arm, row.place): row.values.get("objmc") for row in study.done}
    arms = {arm.label: arm for arm in study.plan.arms}
    rows = [
        {
            **row.task.model_dump(include={"arm", "category", "sample", "seed", "key"}),
            **arms[row.task.arm].model_dump(include={"group", "method", "dtype"}),
            **{name: row.values.get(name) for name in TAKEN},
            "objmc_uncontrolled": plain.get((arms[row.task.arm].plain, row.place)),
            "tracker": row.result and row.result.details.get("objmc", {}).get("tracker"),
            "width": row.result and row.result.resolution[0],
            "height": row.result and row.result.resolution[1],
            "frames": row.result and row.result.frames,
            "model": study.plan.model,
            "weights": row.weights,
            "error": row.error,
        }
        for row in study.rows
    ]
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
