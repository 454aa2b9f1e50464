"""Do tasks, on one machine or many. Every finished task is a record in a folder, and only missing ones are done.

Killing a run loses at most the tasks in flight. A task that fails is recorded and not fatal. A worker that is killed,
for lack of memory or with its machine, is replaced. Two runs on one folder share the work.

On one machine joblib distributes the work over loky's processes. Many machines share it through the folder: start the
same run on each.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial
from typing import Any, Protocol, runtime_checkable

import psutil
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm.auto import tqdm

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tasks.records import Record, RecordFolder, State, task_key

__all__ = ["Task", "run_tasks"]

HOPELESS = 4  # losses of workers one after the other, with nothing finished between
LOOK_AGAIN = 0.2  # seconds between checks of a task that another run works on


@runtime_checkable
class Task(Protocol):
    """A piece of work whose result depends on nothing but itself and the model."""

    def identity(self) -> dict[str, object]:
        """All that the result depends on, as plain values."""

    def run(self, model: Any) -> tuple[dict[str, object], bytes | None]:
        """The result as plain values, and a film strip to keep with it, or None."""


def run_tasks(
    tasks: Sequence[Task],
    folder: RecordFolder,
    weights: str,
    load: Callable[[], Any],
    *,
    workers: int = 1,
    progress: bool = False,
    label: str = "tasks",
) -> list[Record]:
    """Do the tasks that are not done yet, and return every task's record in the order of the tasks.

    A task that fails is recorded, and tried again the next time.

    Args:
        tasks: what to do; equal ones are done once.
        folder: for the records. Others' files in it are left alone.
        weights: the model's fingerprint, part of every key.
        load: gives the model, once in each worker, to which it is sent.
        workers: processes of this machine; 1 works in this process.
        progress: show a progress bar with the time left.
        label: in front of it.

    Raises:
        InputError: no worker at all, a folder that is full or cannot be written, a result that is removed during the
            run, or workers that are killed one after the other. What was finished stays finished.
    """
    if workers < 1:
        raise InputError(f"the number of workers is {workers}, but must be at least 1")
    folder.tidy()
    keys = [task_key(task.identity(), weights) for task in tasks]
    wanted = dict(zip(keys, tasks, strict=True))
    todo = {key: task for key, task in wanted.items() if folder.look(key).state is not State.FINISHED}
    bar = tqdm(total=len(wanted), initial=len(wanted) - len(todo), desc=label, disable=not progress, unit="task")
    with bar, _place(workers, partial(_do, folder, weights), load) if todo else nullcontext() as do_all:
        while todo:
            for key, done in do_all(dict(todo)):
                if done:
                    _record_of(folder, key)
                    del todo[key]
                    bar.update()
            if todo:  # another run works on these; if it dies, they are done here
                time.sleep(LOOK_AGAIN)
    return [_record_of(folder, key) for key in keys]


def _record_of(folder: RecordFolder, key: str) -> Record:
    """The record of a task that is done."""
    if (record := folder.look(key).record) is None:
        todo = "run the same again: what is still there is kept"
        raise InputError(f"the result of {key} was removed from {folder.path} during the run; {todo}")
    return record


# --- where work is done ----------------------------------------------------------------------------------------------

Do = Callable[[str, Task, Any], bool]  # does the task of a key with a model; False if another process works on it
Outcomes = Iterator[tuple[str, bool]]  # the key of a task, and what `Do` says


@contextmanager
def _place(workers: int, do: Do, load: Callable[[], Any]) -> Iterator[Callable[[Mapping[str, Task]], Outcomes]]:
    """Give a function that does tasks, in this process or in others."""
    if workers == 1:
        yield lambda tasks: ((key, do(key, task, load())) for key, task in tasks.items())
    else:
        try:
            yield partial(_in_processes, workers, do, load)
        finally:
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _in_processes(workers: int, do: Do, load: Callable[[], Any], tasks: Mapping[str, Task]) -> Outcomes:
    """Where a worker is killed, start new ones. What was in flight then is done last, one by one."""
    waiting, suspects, lost = dict(tasks), set(), 0
    while waiting:
        some = [key for key in waiting if key not in suspects] or [*waiting][:1]
        parallel = Parallel(workers, return_as="generator_unordered", batch_size=1, pre_dispatch=workers)
        try:
            with parallel_config(backend="loky", inner_max_num_threads=1):
                for key, done in parallel(delayed(_do_there)(do, key, tasks[key], load, os.getpid()) for key in some):
                    lost = 0
                    del waiting[key]
                    yield key, done
        except BrokenProcessPool as error:  # after which nothing in flight is finished
            in_flight = [key for key in some if key in waiting][:workers]
            waiting |= {key: waiting.pop(key) for key in in_flight}  # now at the end
            suspects.update(in_flight)
            lost += 1
            if lost > HOPELESS:
                raise InputError(
                    f"one worker after the other was killed, perhaps for lack of memory, at {_names(tasks, in_flight)};"
                    " run the same again with fewer workers: what was finished is kept"
                ) from error


def _names(tasks: Mapping[str, Task], keys: Sequence[str]) -> str:
    """What tells tasks apart, as far as it is short."""
    known = [[str(each) for each in tasks[key].identity().values() if isinstance(each, str | int)] for key in keys]
    return " and ".join(f"({', '.join(each)})" for each in known)


# --- one task --------------------------------------------------------------------------------------------------------

_ONE_AT_A_TIME = threading.Lock()  # a model's recording of features is not for two threads


@lru_cache(maxsize=1)
def _loaded(load: Callable[[], Any]) -> Any:
    return load()


@lru_cache(maxsize=1)
def _end_with(parent: int) -> None:
    """Let a worker end when the process that waits for it is killed, and leave Ctrl-C to that process."""

    def wait() -> None:
        psutil.Process(parent).wait()
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=wait, daemon=True).start()


def _do_there(do: Do, key: str, task: Task, load: Callable[[], Any], parent: int) -> tuple[str, bool]:
    _end_with(parent)
    return key, do(key, task, _loaded(load))


def _do(folder: RecordFolder, weights: str, key: str, task: Task, model: Any) -> bool:
    """Do a task and write its record; False if another process works on it."""
    with _ONE_AT_A_TIME, folder.claim(key) as mine:
        if mine and folder.look(key).state is not State.FINISHED:
            strip, started = None, time.perf_counter()
            try:
                result, strip = task.run(model)
                came = {"result": result}
            except Exception as error:  # of any kind: the other tasks are not affected
                came = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
            seconds = round(time.perf_counter() - started, 3)
            folder.keep(Record(key=key, task=task.identity(), weights=weights, seconds=seconds, **came), strip)
    return mine
