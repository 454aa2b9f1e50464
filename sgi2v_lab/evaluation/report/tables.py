"""The results for other programs: one row for each video in CSV and in Parquet, and summary.json with the means."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.claims import Claim, claims_of
from sgi2v_lab.evaluation.report.sections import figures_of
from sgi2v_lab.evaluation.report.sets import SetFigures
from sgi2v_lab.evaluation.report.study import MEASURES, TAKEN, Study
from sgi2v_lab.evaluation.report.targets import Target, incomplete, targets
from sgi2v_lab.evaluation.report.verdict import Verdict, verdict
from sgi2v_lab.files import whole_file, write_text

with needs("evaluation"):
    import pyarrow
    import pyarrow.parquet

__all__ = ["ArmSummary", "Summary", "results_table", "summarize", "write_tables"]


class ArmSummary(BaseModel):
    """One arm's figures by names in `MEASURES`: means over samples, ratios to no control, distances of the set."""

    method: str
    figures: dict[str, Interval]
    set_ratios: dict[str, Interval]  # to the arm's own no control
    by_category: dict[str, dict[str, Interval]]


class Summary(BaseModel):
    """summary.json: `Summary.model_validate_json(path.read_text())` reads it."""

    model_config = ConfigDict(frozen=True)

    title: str
    data: str
    model: str
    weights: dict[str, str]
    conditions: str  # resolution, frames, tracker
    reference: str
    verdict: Verdict
    claims: list[Claim]
    targets: list[Target]
    incomplete: str | None  # why the targets do not count yet
    videos: int
    failed: int
    unfinished: int
    arms: dict[str, ArmSummary]


def summarize(study: Study, sets: Mapping[str, SetFigures]) -> Summary:
    """Everything that the report says, as numbers."""
    plan, claims, goals = study.plan, claims_of(study), targets(study)
    found = {c: {n: figures_of(study, n, c, None if c else sets) for n in MEASURES} for c in (None, *study.categories)}

    def of(label: str, category: str | None = None) -> dict[str, Interval]:
        return {name: every[label] for name, every in found[category].items() if label in every}

    arms = {
        arm.label: ArmSummary(
            method=arm.method,
            figures=of(arm.label),
            set_ratios={name: each.ratios[arm.label] for name, each in sets.items() if arm.label in each.ratios},
            by_category={name: of(arm.label, name) for name in study.categories},
        )
        for arm in plan.arms
    }
    return Summary(
        **plan.model_dump(include={"title", "data", "model", "weights"}),
        conditions=study.conditions,
        reference=study.reference,
        verdict=verdict(study, claims),
        claims=claims,
        targets=goals,
        incomplete=incomplete(study) if goals else None,
        videos=len(study.done),
        failed=len(study.failed),
        unfinished=len(study.unfinished),
        arms=arms,
    )


def results_table(study: Study) -> pyarrow.Table:
    """One row for each video or failure, one column for each fact; what was not measured is null.

    Units are in the schema's field metadata. `objmc_uncontrolled` is that of the same sample and seed.
    """
    plain = {(row.task.arm, row.place): row.values.get("objmc") for row in study.done}
    arms = {arm.label: arm for arm in study.plan.arms}
    rows = [
        {
            **row.task.model_dump(include={"arm", "category", "sample", "seed", "key"}),
            **arms[row.task.arm].model_dump(include={"group", "method", "dtype"}),
            **{name: row.values.get(name) for name in TAKEN},
            "objmc_uncontrolled": plain.get((arms[row.task.arm].plain, row.place)),
            "tracker": row.tracker,
            "width": row.result and row.result.resolution[0],
            "height": row.result and row.result.resolution[1],
            "frames": row.result and row.result.frames,
            "model": study.plan.model,
            "weights": row.weights,
            "error": row.error,
        }
        for row in study.rows
    ]
    kinds = dict.fromkeys((*TAKEN, "objmc_uncontrolled"), pyarrow.float64())
    kinds |= dict.fromkeys(("seed", "width", "height", "frames"), pyarrow.int64())
    units = {name: {"unit": measure.unit} for name, measure in TAKEN.items()}
    fields = [pyarrow.field(name, kinds.get(name, pyarrow.string()), metadata=units.get(name)) for name in rows[0]]
    return pyarrow.Table.from_pylist(rows, pyarrow.schema(fields))


def write_tables(study: Study, folder: Path) -> tuple[Path, Path]:
    """Write results.csv and results.parquet, and return their paths. InputError where they cannot be written."""
    table = results_table(study)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, table.column_names, lineterminator="\n")  # a null is an empty cell
    writer.writeheader()
    writer.writerows(table.to_pylist())
    parquet = folder / "results.parquet"
    with whole_file(parquet) as temporary:
        pyarrow.parquet.write_table(table, temporary)
    return write_text(folder / "results.csv", text.getvalue()), parquet
