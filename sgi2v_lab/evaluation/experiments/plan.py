"""The plan of an evaluation, plan.json, which is written before the first task is done; and how far it is.

The state is found from the files alone: no model is loaded, and a running evaluation is not disturbed.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ValidationError

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tasks.records import RecordFolder, State
from sgi2v_lab.files import as_path

__all__ = ["PLAN", "TASKS", "TRUTH", "Arm", "Plan", "PlannedClaim", "PlannedQuestion", "PlannedTask", "Status"]

PLAN, TASKS = "plan.json", "tasks"  # in an evaluation's folder
TRUTH = "truth"  # the "method" whose videos are the true ones


class Arm(BaseModel, frozen=True):
    """A method with its settings: everything that is compared as one."""

    label: str
    group: str  # "method"; or of a grid "base", "setting", or the name of the one setting that is varied
    method: str  # a name in METHODS, or TRUTH
    changes: dict[str, Any] = {}  # to the base's settings
    source: str | None = None  # where the method was published
    plain: str | None = None  # the label of the arm without control that its ratio is taken to
    dtype: str | None = None


class PlannedClaim(BaseModel, frozen=True):
    """A difference of means over arms that should be in favour of `better`."""

    text: str
    measure: str
    better: list[str]  # labels
    worse: list[str]


class PlannedQuestion(BaseModel, frozen=True):
    """A part of a report: a question, and the arms and categories that answer it."""

    ask: str
    note: str
    arms: list[str]
    categories: list[str]  # empty for all
    measures: list[str]
    claims: list[PlannedClaim]


class PlannedTask(BaseModel, frozen=True):
    """One video: its record's key, and what it is of."""

    key: str
    arm: str
    sample: str
    category: str
    seed: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.sample}, seed {self.seed}, {self.arm}"


@dataclass(frozen=True)
class Status:
    """Counts of tasks by state, the time left, and what failed."""

    tasks: int
    finished: int
    failed: int  # the next start tries again
    in_flight: int  # a process works on them
    damaged: int  # record or film strip not whole; the next start makes them again
    left: int  # not started
    seconds_per_task: float | None  # None if none is finished
    seconds_left: float | None  # with as many workers as now; None if no process is running or none is finished
    failures: list[str]  # "task: error"
    damages: list[str]  # "task: what is wrong"

    @classmethod
    def of(cls, folder: Path, names: dict[str, str]) -> "Status":
        """The state of the tasks in a folder, given their names by key."""
        records = RecordFolder.at(folder)
        counts, seconds, failures, damages = Counter(), [], [], []
        for key, name in names.items():
            found = records.look(key)
            if found.state is State.FINISHED:
                counts["finished"] += 1
                seconds.append(found.record.seconds)
            elif records.claimed(key):
                counts["in_flight"] += 1
            elif found.state is State.FAILED:
                counts["failed"] += 1
                failures.append(f"{name}: {found.record.error}")
            elif found.state is State.DAMAGED:
                counts["damaged"] += 1
                damages.append(f"{name}: {found.why}")
            else:
                counts["left"] += 1
        pace, busy = fmean(seconds) if seconds else None, counts["in_flight"]
        left = pace * (busy + counts["damaged"] + counts["left"]) / busy if pace is not None and busy else None
        shown = {name: counts[name] for name in ("finished", "failed", "in_flight", "damaged", "left")}
        return cls(len(names), **shown, seconds_per_task=pace, seconds_left=left, failures=failures, damages=damages)


class Plan(BaseModel, frozen=True):
    """All that is known before the first video is made."""

    title: str
    data: str  # the data set's name
    data_source: str  # where it comes from
    model: str
    weights: dict[str, str]  # fingerprint by precision
    seeds: int
    base: dict[str, Any]  # settings that the arms' changes are made to
    arms: list[Arm]
    reference: str  # the label that all others are compared with
    questions: list[PlannedQuestion]
    tasks: list[PlannedTask]
    command: str
    machine: dict[str, Any]  # from `describe_machine`

    @classmethod
    def read(cls, folder: str | Path) -> "Plan":
        """The plan in a folder; InputError if there is none."""
        path = as_path(folder, "an evaluation's folder") / PLAN
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged, or from an earlier version"
            todo = f"make one: sgi2v evaluate --out {folder}"
            raise InputError(f"{folder} is no folder of an evaluation ({PLAN}: {why}); {todo}") from error

    def status(self, folder: str | Path) -> Status:
        """How far the evaluation in a folder is."""
        return Status.of(Path(folder) / TASKS, {task.key: task.name for task in self.tasks})
