"""The state of a sweep, from its files alone: no model is loaded, and a running sweep is not disturbed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tasks.folder import State, TaskFolder
from sgi2v_lab.evaluation.tasks.log import TaskLog

__all__ = ["LOG", "PLAN", "TASKS", "SweepStatus", "read_plan", "sweep_status"]

PLAN, LOG, TASKS = "sweep.json", "log.jsonl", "tasks"  # in a sweep's folder


@dataclass(frozen=True)
class SweepStatus:
    """Counts of tasks by state, their pace, and failures."""

    title: str
    tasks: int
    finished: int
    failed: int  # the next start tries again
    in_flight: int  # a process works on them
    damaged: int  # record or film strip not whole; the next start makes them again
    deleted: int  # finished once, now gone; the next start makes them again
    left: int  # not started
    replaced: int  # finished tasks that replace a damaged or deleted one
    seconds_per_task: float | None  # of the latest tasks; None if too few are done
    seconds_left: float | None  # at that pace; None if no process is running or the pace is unknown
    failures: tuple[dict[str, str], ...]  # {"task", "error"}
    damages: tuple[str, ...]  # what is damaged, and how

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def read_plan(folder: str | Path) -> dict:
    """The content of sweep.json; InputError if there is none."""
    path = Path(folder) / PLAN
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        plan["title"], [(task["key"], task["name"]) for task in plan["tasks"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{folder} is no folder of a sweep ({path.name}: {error}); start one with `sgi2v ablate --grid FILE --out "
            f"{folder}`"
        ) from error
    return plan


def sweep_status(folder: str | Path) -> SweepStatus:
    """The state of the sweep in a folder.

    Raises:
        InputError: there is no sweep in the folder.
    """
    plan = read_plan(folder)
    tasks, log = TaskFolder(Path(folder).absolute() / TASKS), TaskLog(Path(folder) / LOG)
    known = log.finished()
    counts = dict.fromkeys(("finished", "failed", "in_flight", "damaged", "deleted", "left", "replaced"), 0)
    failures, damages = [], []
    for key, name in {task["key"]: task["name"] for task in plan["tasks"]}.items():
        found = tasks.look(key)
        if found.state is State.FINISHED:
            counts["finished"] += 1
            counts["replaced"] += "replaces" in found.record
        elif tasks.claimed(key):
            counts["in_flight"] += 1
        elif found.state is State.FAILED:
            counts["failed"] += 1
            failures.append({"task": name, "error": found.record["error"]})
        elif found.state is State.DAMAGED:
            counts["damaged"] += 1
            damages.append(f"{name}: {found.why}")
        else:
            counts["deleted" if key in known else "left"] += 1
    total = sum(counts.values()) - counts["replaced"]
    pace = log.pace()
    return SweepStatus(
        title=plan["title"],
        tasks=total,
        **counts,
        seconds_per_task=pace,
        seconds_left=pace * (total - counts["finished"] - counts["failed"]) if pace and counts["in_flight"] else None,
        failures=tuple(failures),
        damages=tuple(damages),
    )
