"""How a sweep stands, from its files alone: no model is loaded, and a sweep that is running is not disturbed."""

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
    """Counts of tasks, each in one of six states; how fast they are done; what failed."""

    title: str
    tasks: int
    finished: int
    failed: int  # tried again at the next start
    in_flight: int  # a process is at it now
    damaged: int  # the record or the film strip is not whole: made again at the next start
    deleted: int  # was finished once, and is gone: made again at the next start
    left: int  # not begun
    replaced: int  # finished ones that stand in for a damaged or deleted one
    seconds_per_task: float | None  # of the latest tasks; None where too few are done to tell
    seconds_left: float | None  # at that pace; None where nobody is at it, or the pace is not known
    failures: tuple[dict[str, str], ...]  # {"task", "error"}
    damages: tuple[str, ...]  # what is damaged, and how

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def read_plan(folder: str | Path) -> dict:
    """What sweep.json holds; InputError where there is none."""
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
    """How the sweep in a folder stands.

    Raises:
        InputError: there is no sweep in it.
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
