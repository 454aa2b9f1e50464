"""The plan of an evaluation, plan.json: what is compared, on what, and how. Written before the first task is done."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tasks.status import Status, status_of

__all__ = ["PLAN", "TASKS", "TRUTH", "Arm", "Plan", "PlannedClaim", "PlannedQuestion", "PlannedTask"]

PLAN, TASKS = "plan.json", "tasks"  # in an evaluation's folder
TRUTH = "truth"  # the "method" whose videos are the true ones


class Arm(BaseModel, frozen=True):
    """A method with its settings: everything that is compared as one."""

    label: str
    group: str  # "method"; or of a grid "base", "product", "setting", or the name of the one setting that is varied
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
        """In messages."""
        return f"{self.sample}, seed {self.seed}, {self.arm}"


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
        path = Path(folder) / PLAN
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged, or from an earlier version"
            todo = f"make one: sgi2v evaluate --out {folder}"
            raise InputError(f"{folder} is no folder of an evaluation ({PLAN}: {why}); {todo}") from error

    def status(self, folder: str | Path) -> Status:
        """How far the evaluation in a folder is."""
        return status_of(Path(folder) / TASKS, {task.key: task.name for task in self.tasks})
