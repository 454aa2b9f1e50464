"""Resumable work: every finished task is a file, and only missing tasks are done.

Killing the run at any time loses at most the tasks in flight. A failing task is recorded and not fatal. Two runs on one
folder share the work. Nothing here knows what tasks do, so workers import only what their tasks need.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol, runtime_checkable

from tqdm.auto import tqdm

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tasks.executors import Lost, Outcomes, dask_executor, in_processes, on_executor
from sgi2v_lab.evaluation.tasks.folder import VERSION, State, TaskFolder, task_key
from sgi2v_lab.evaluation.tasks.log import TaskLog

__all__ = ["Task", "finish_tasks"]

LOOK_AGAIN = 0.2  # seconds between checks of a task that another run works on
SHARED_PATIENCE = 15  # seconds until a file that another machine wrote is seen here


@runtime_checkable
class Task(Protocol):
    """A piece of work whose result depends on nothing but itself and the model."""

    def identity(self) -> dict[str, object]:
        """All that the result depends on, as plain values."""
        ...

    def run(self, model: Any) -> tuple[dict[str, object], Any]:
        """The result as plain values, and a video (frames, 3, h, w) in 0..1 to keep with it, or None."""
        ...


@dataclass(frozen=True)
class _Job:
    task: Task
    key: str
    weights: str
    folder: TaskFolder
    load: Callable[[], Any]  # gives the model
    seen: int | None  # the stamp of the record that is to be replaced
    replaces: str | None  # what became of an earlier result, if there was one

    def head(self) -> dict[str, object]:
        """The part of the record that is known before."""
        head = {"key": self.key, "version": VERSION, "task": self.task.identity(), "model": self.weights, "strip": None}
        return head | ({"replaces": self.replaces} if self.replaces else {})

    def done_by_another(self) -> bool:
        """Whether another run has written a new record."""
        found = self.folder.look(self.key)
        return found.state in (State.FINISHED, State.FAILED) and found.stamp != self.seen


def finish_tasks(
    tasks: Sequence[Task],
    folder: TaskFolder,
    weights: str,
    load: Callable[[], Any],
    *,
    workers: int = 1,
    executor: Executor | str | None = None,
    log: TaskLog | None = None,
    progress: bool = False,
    label: str = "tasks",
) -> list[dict[str, object]]:
    """Do the tasks that are not done yet, and return every task's record in the order of the tasks.

    Args:
        tasks: what to do; equal ones are done once.
        folder: for the records. Others' files in it are left alone.
        weights: the model's fingerprint, part of every key.
        load: gives the model, once in each worker, to which it is sent.
        workers: processes of this machine; 1 works in this process.
        executor: instead of those: any executor, or the address of a Dask scheduler.
        log: of finished tasks; with it, deleted results are detected.
        progress: show a progress bar with the time left.
        label: in front of it.

    Returns:
        [{"key", "version", "task" (its identity), "model", "strip" (a file name or None), "seconds",
        "result" | "error", "replaces" (where it stands in for a damaged or deleted one)}]

    Raises:
        InputError: no worker at all, a folder that is full or cannot be written, a cluster that does not answer. What
            was finished stays finished.
    """
    if workers < 1:
        raise InputError(f"the number of workers is {workers}, but must be at least 1")
    folder.tidy()
    keys = [task_key(task.identity(), weights) for task in tasks]
    todo: dict[str, _Job] = {}
    known = log.finished() if log else set()
    for key, task in zip(keys, tasks, strict=True):
        if key in todo or (found := folder.look(key)).state is State.FINISHED:
            continue
        replaces = found.why if found.state is State.DAMAGED else None
        if found.state is State.ABSENT and key in known:
            replaces = f"{key}.json was deleted"
        todo[key] = _Job(task, key, weights, folder, load, found.stamp, replaces)
    if log:
        log.begin({key for key in keys if key not in todo} - known)
    count = len(set(keys))
    bar = tqdm(total=count, initial=count - len(todo), desc=label, disable=not progress, unit="task")
    with bar, _place(workers, executor) as do_all:
        while todo:
            busy: dict[str, _Job] = {}
            for key, outcome in do_all(todo):
                if isinstance(outcome, Lost):
                    folder.keep(todo[key].head() | {"error": outcome.why, "seconds": None})
                elif not outcome:
                    busy[key] = todo[key]
                    continue
                state = _arrived(folder, key)
                if log:
                    log.add(key, state is State.FINISHED)
                bar.update()
            todo = _left_by_others(busy)
            bar.update(len(busy) - len(todo))
    return [folder.look(key).record for key in keys]


def _place(workers: int, executor: Executor | str | None) -> Any:
    """A context manager that lends a function from jobs by key to their outcomes."""
    if isinstance(executor, str):
        return _OnDask(executor)
    if executor is not None:
        return nullcontext(partial(on_executor, _do_there, executor=executor))
    if workers > 1:
        return nullcontext(partial(in_processes, _do_there, workers=workers))
    return nullcontext(_here)


class _OnDask:
    """Connects when first needed, so that finished work needs no cluster."""

    def __init__(self, address: str):
        self.address = address
        self.open = ExitStack()
        self.executor: Executor | None = None

    def __enter__(self) -> Callable[[Mapping[str, _Job]], Outcomes]:
        return self._do_all

    def _do_all(self, jobs: Mapping[str, _Job]) -> Outcomes:
        self.executor = self.executor or self.open.enter_context(dask_executor(self.address))
        return on_executor(_do_there, jobs, self.executor)

    def __exit__(self, *error: object) -> None:
        self.open.close()


def _here(jobs: Mapping[str, _Job]) -> Outcomes:
    return ((key, _do(job, job.load())) for key, job in jobs.items())


# --- one task --------------------------------------------------------------------------------------------------------

_ONE_AT_A_TIME = threading.Lock()  # a model's recording of features is not for two threads


@lru_cache(maxsize=1)
def _loaded(load: Callable[[], Any]) -> Any:
    return load()


def _do_there(job: _Job) -> bool:
    return _do(job, _loaded(job.load))


def _do(job: _Job, model: Any) -> bool:
    """Do a task and write its record; False if another process works on it."""
    with _ONE_AT_A_TIME, job.folder.claim(job.key) as mine:
        if not mine:
            return False
        if job.done_by_another():
            return True
        record, started = job.head(), time.perf_counter()
        try:
            record["result"], video = job.task.run(model)
        except Exception as error:  # of any kind: the other tasks are not affected
            record["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            video = None
        record["seconds"] = round(time.perf_counter() - started, 3)
        job.folder.keep(record, video)
    return True


def _arrived(folder: TaskFolder, key: str) -> State:
    """The state of a task that a worker has just done; another machine's files may appear late."""
    until = time.monotonic() + SHARED_PATIENCE
    while (state := folder.look(key).state) not in (State.FINISHED, State.FAILED):
        if time.monotonic() > until:
            raise InputError(
                f"a worker has finished {key}, but its result is not in {folder.path}; use a folder that all machines "
                "share under the same name"
            )
        time.sleep(LOOK_AGAIN)
    return state


def _left_by_others(busy: dict[str, _Job]) -> dict[str, _Job]:
    """Wait for tasks that other runs work on, and return those that they gave up without a record."""
    left: dict[str, _Job] = {}
    waiting = dict(busy)
    while waiting and not left:
        time.sleep(LOOK_AGAIN)
        for key, job in busy.items():
            if key in waiting and not job.folder.claimed(key):
                del waiting[key]
                if not job.done_by_another():
                    left[key] = job
    return left | waiting
