"""Where work is done: processes of this machine, any `concurrent.futures.Executor`, or a Dask cluster.

A worker may be killed at any time: for lack of memory, by a person, or with its machine. Its work then goes to another
worker. Work that keeps losing its worker is given up, and the rest continues.
"""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_any

from sgi2v_lab.errors import InputError

__all__ = ["ATTEMPTS", "Lost", "dask_executor", "in_processes", "on_executor"]

ATTEMPTS = 3  # workers that a piece of work may cost
HOPELESS = 4  # pieces given up one after the other, with nothing done between
PATIENCE = 30  # seconds for a Dask scheduler to answer, and to have a worker


@dataclass(frozen=True)
class Lost:
    """In place of an outcome: why this piece of work was given up."""

    why: str


Outcomes = Iterator[tuple[str, object]]  # the key of a piece of work, and what came of it


# --- processes of this machine ---------------------------------------------------------------------------------------


def in_processes(work: Callable[[object], object], jobs: Mapping[str, object], workers: int) -> Outcomes:
    """Do `work(job)` for each job in processes of this machine, and yield (key, outcome) as they finish.

    The processes are spawned, since a fork of a process in which torch has started its threads can hang. When one is
    ended, all of its pool are: the work in flight is then tried again one by one, so that only what ends its process
    each time is given up, as `Lost`.

    Raises:
        InputError: nothing at all gets done, because every process is ended; and what `work` itself raises.
    """
    todo, suspects, ended, given_up = deque(jobs), deque(), Counter(), 0
    while todo or suspects:
        alone = bool(suspects)
        keys = suspects if alone else todo
        pool = _in_pool(work, jobs, keys, 1 if alone else min(workers, len(keys)))
        lost: list[str] = []
        for key, outcome in pool:
            if outcome is _ENDED:
                lost.append(key)
            else:
                given_up = 0
                yield key, outcome
        for key in lost:
            ended[key] += 1
            if ended[key] < ATTEMPTS:
                suspects.append(key)
                continue
            given_up += 1
            if given_up == HOPELESS:
                raise InputError(
                    "one worker process after the other was ended from outside, most often for want of memory; run the "
                    "same again with fewer workers: what was finished is kept"
                )
            yield key, Lost(f"its worker process was ended from outside {ATTEMPTS} times, perhaps for want of memory")


_ENDED = object()


def _in_pool(
    work: Callable[[object], object], jobs: Mapping[str, object], keys: deque[str], workers: int
) -> Generator[tuple[str, object], None, None]:
    """Take work from `keys` until there is none, or until a process is ended; what was in flight is then _ENDED."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _prepare_process)
    running: dict[Future, str] = {}
    try:
        while keys or running:
            # no more than there are processes, so that what is lost with one of them was really being worked on
            while keys and len(running) < workers:
                try:
                    future = pool.submit(work, jobs[keys[0]])
                except BrokenProcessPool:
                    break
                running[future] = keys.popleft()
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = any(isinstance(future.exception(), BrokenProcessPool) for future in done) or not running
            for future in wait(running).done if broken else done:
                ended = isinstance(future.exception(), BrokenProcessPool)
                yield running.pop(future), _ENDED if ended else _outcome(future)
            if broken:
                return
    finally:
        pool.shutdown(cancel_futures=True)  # after an interruption only what is running is finished


def _prepare_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process().sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    # a parent that is killed cannot tell its processes, and they would wait for work for ever
    wait_for_any([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


# --- elsewhere -------------------------------------------------------------------------------------------------------


def on_executor(work: Callable[[object], object], jobs: Mapping[str, object], executor: Executor) -> Outcomes:
    """Do `work(job)` for each job on an executor of any kind, and yield (key, outcome) as they finish.

    What the executor does not get done (Dask's KilledWorker, after its own attempts) is tried once more, one by one: a
    worker that is ended takes the work that waited for it along, which then looks as guilty as what ended it. What
    fails alone too is given up, as `Lost`.

    Raises:
        InputError: the executor broke or was closed; and what `work` itself raises as such.
    """
    futures: dict[Future, str] = {}
    suspects: list[str] = []
    try:
        for key, job in jobs.items():
            futures[executor.submit(work, job)] = key
        for future in as_completed(futures):
            outcome = _outcome(future)
            if isinstance(outcome, Lost):
                suspects.append(futures[future])
            else:
                yield futures[future], outcome
        for key in suspects:
            alone = executor.submit(work, jobs[key])
            futures[alone] = key
            yield key, _outcome(alone)
    except (CancelledError, RuntimeError) as error:  # as executors say that they are broken, or take no more
        raise InputError(
            "the executor broke or was closed; run the same again with a new one: what was finished is kept"
        ) from error
    finally:
        for future in futures:
            future.cancel()


def _outcome(future: Future) -> object:
    try:
        return future.result()
    except (InputError, CancelledError, BrokenExecutor):
        raise
    except Exception as error:  # none of a task's own, which are recorded where it runs
        return Lost(f"{type(error).__name__}: {' '.join(str(error).split())}")


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """An executor on the Dask cluster whose scheduler has this address, such as tcp://10.0.0.1:8786.

    Start the scheduler with `dask scheduler`, and on every machine one `dask worker ADDRESS --nthreads 1` for each GPU
    (CUDA_VISIBLE_DEVICES=k) or core. All of them need this package and the same folders at the same places. A worker
    that is killed is survived: Dask gives its work to another one.

    Raises:
        InputError: the package `distributed` is not installed, no scheduler answers there, or it has no worker.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            f"a Dask cluster ({address}) needs the package distributed; install it: pip install 'sgi2v_lab[cluster]'"
        ) from error
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler`, and give the "
            "address that it prints, such as tcp://10.0.0.1:8786"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise InputError(
                f"the Dask scheduler at {address} has no worker; start some: dask worker {address} --nthreads 1"
            ) from error
        yield client.get_executor(pure=False)  # the same work twice is done twice: what it does is to write files
