"""What the folder of an evaluation holds: its plan, and for each video what was measured, or why nothing was."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.plan import TASKS, TRUTH, Arm, Plan, PlannedTask
from sgi2v_lab.evaluation.experiments.video_task import VideoResult
from sgi2v_lab.evaluation.metrics.registry import METRICS, SET_METRICS, Metric
from sgi2v_lab.evaluation.tasks.records import RecordFolder, State

__all__ = ["MEASURES", "TAKEN", "Row", "Study", "by_sample", "read_study"]


# fmt: off
TIME = Metric("seconds", "Time", "s", "lower", 1, (), None, "this package",
              "time to make one video, on this machine, whatever else it did")
RATIO = Metric("ratio", "ObjMC ratio", "", "lower", 2, (), None, "SG-I2V 2025, table 1",
               "mean ObjMC divided by that of the same samples without control")
# fmt: on
TAKEN = METRICS | {"seconds": TIME}  # of single videos
MEASURES = TAKEN | {"ratio": RATIO} | SET_METRICS  # all that a report can name


@dataclass(frozen=True)
class Row:
    """One video of the plan, finished or failed."""

    task: PlannedTask
    weights: str  # the model's fingerprint
    result: VideoResult | None = None
    strip: Path | None = None
    error: str | None = None

    @property
    def place(self) -> tuple[str, int]:
        """The sample and the seed, by which arms are compared."""
        return self.task.sample, self.task.seed

    @cached_property
    def values(self) -> dict[str, float]:
        """By names in `TAKEN`; what was not measured or is not finite is left out."""
        found = {} if self.result is None else {**self.result.values, "seconds": self.result.seconds}
        return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


@dataclass(frozen=True)
class Study:
    """An evaluation with its results."""

    plan: Plan
    rows: Sequence[Row]  # finished and failed, in the plan's order
    unfinished: Sequence[str]  # names of tasks without a result, and why
    made: str = ""  # when the first and the last record were written

    @property
    def reference(self) -> str:
        """The label that all others are compared with."""
        return self.plan.reference

    @property
    def arms(self) -> dict[str, Arm]:
        """All that is compared, by label: not the true video."""
        return {arm.label: arm for arm in self.plan.arms if arm.method != TRUTH}

    @property
    def truth(self) -> str | None:
        """The label of the true videos."""
        return next((arm.label for arm in self.plan.arms if arm.method == TRUTH), None)

    @property
    def done(self) -> list[Row]:
        """The rows with results."""
        return [row for row in self.rows if row.result is not None]

    @property
    def failed(self) -> list[Row]:
        """The rows that are failures."""
        return [row for row in self.rows if row.result is None]

    @cached_property
    def measures(self) -> list[Metric]:
        """The measures that were taken of at least one video."""
        return [measure for name, measure in TAKEN.items() if any(name in row.values for row in self.done)]

    @property
    def categories(self) -> list[str]:
        """The samples' categories, in order."""
        return list(dict.fromkeys(row.task.category for row in self.rows))

    @property
    def conditions(self) -> str:
        """What all figures depend on: resolution, frames and tracker."""
        sizes = sorted({(*row.result.resolution, row.result.frames) for row in self.done})
        trackers = sorted({str(row.result.details.get("objmc", {}).get("tracker", "not noted")) for row in self.done})
        size = " or ".join(f"{width} × {height} px, {frames} frames" for width, height, frames in sizes)
        return f"{size}, tracker {' and '.join(trackers)}"

    def of(self, arm: str | None, category: str | None = None) -> list[Row]:
        """The finished videos of one arm, of one category or all."""
        return [row for row in self.done if row.task.arm == arm and category in (None, row.task.category)]

    def part(self, arms: Iterable[str] = (), categories: Iterable[str] = ()) -> "Study":
        """The study of some arms and categories, none for all; the true videos stay."""
        labels, names = {*(arms or self.arms), self.truth}, {*(categories or self.categories)}
        kept = [arm for arm in self.plan.arms if arm.label in labels]
        rows = [row for row in self.rows if row.task.arm in labels and row.task.category in names]
        reference = self.reference if self.reference in labels else kept[-1].label
        return replace(self, plan=self.plan.model_copy(update={"arms": kept, "reference": reference}), rows=rows)


def by_sample(rows: Iterable[Row], measure: str) -> dict[str, float]:
    """A measure of each sample, the mean over its seeds; samples of which it was not taken are left out."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if measure in row.values:
            found.setdefault(row.task.sample, []).append(row.values[measure])
    return {sample: fmean(values) for sample, values in found.items()}


def read_study(folder: str | Path) -> Study:
    """What the folder of `evaluate` holds. InputError: there is no plan, no result yet, or only failures."""
    plan = Plan.read(folder)
    records = RecordFolder.at(Path(folder) / TASKS)
    rows, unfinished, stamps = [], [], []
    for task in plan.tasks:
        found = records.look(task.key)
        if found.state in (State.FINISHED, State.FAILED):
            result, strip = found.record.result, found.record.strip and records.path / found.record.strip
            made = VideoResult.model_validate(result) if result else None
            rows.append(Row(task, found.record.weights, made, strip, found.record.error))
            stamps.append(found.stamp / 1e9)
        else:
            why = "in flight" if records.claimed(task.key) else found.why or "not made yet"
            unfinished.append(f"{task.name}: {why}")
    if not rows:
        raise InputError(f"none of the {len(plan.tasks)} videos of {folder} is finished; go on with: {plan.command}")
    if all(row.result is None for row in rows):
        raise InputError(f"all {len(rows)} videos failed; the first, {rows[0].task.name}, with {rows[0].error}")
    first, last = (f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}" for moment in (min(stamps), max(stamps)))
    return Study(plan, rows, unfinished, f"{first} to {last} UTC")
