"""The state of an evaluation, from its files alone: no model is loaded, and a running one is not disturbed."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sgi2v_lab.evaluation.tasks.records import RecordFolder, State

__all__ = ["Status", "status_of"]


@dataclass(frozen=True)
class Status:
    """Counts of tasks by state, the time left, and what failed."""

    tasks: int
    finished: int
    failed: int  # the next start tries again
    in_flight: int  # a process works on them
    damaged: int  # record or film strip not whole; the next start makes them again
    left: int  # not started
    replaced: int  # finished ones that replace a damaged one
    seconds_per_task: float | None  # None if none is finished
    seconds_left: float | None  # with as many workers as now; None if no process is running or none is finished
    failures: tuple[str, ...]  # "task: error"
    damages: tuple[str, ...]  # "task: what is wrong"


def status_of(folder: Path, names: dict[str, str]) -> Status:
    """The state of the tasks in a folder, given their names by key."""
    records = RecordFolder(folder.absolute())
    counts, seconds, failures, damages = Counter(), [], [], []
    for key, name in names.items():
        found = records.look(key)
        if found.state is State.FINISHED:
            counts["finished"] += 1
            counts["replaced"] += found.record.replaces is not None
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
    pace = fmean(seconds) if seconds else None
    todo = counts["in_flight"] + counts["damaged"] + counts["left"]
    return Status(
        tasks=len(names),
        **{name: counts[name] for name in ("finished", "failed", "in_flight", "damaged", "left", "replaced")},
        seconds_per_task=pace,
        seconds_left=pace * todo / counts["in_flight"] if pace is not None and counts["in_flight"] else None,
        failures=tuple(failures),
        damages=tuple(damages),
    )
