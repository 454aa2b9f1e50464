"""Tasks on a model. A result depends only on its task and the weights, and is computed once.

`resumable` handles interruptions, `folder` stores results, `executors` distributes work. After a changed setting only
what it affects is computed again, and several programs can share a folder.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.evaluation.tasks.folder import TaskFolder
from sgi2v_lab.evaluation.tasks.log import TaskLog
from sgi2v_lab.evaluation.tasks.resumable import Task, finish_tasks
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.quiet import quiet_libraries

with needs("evaluation"):
    import cv2

__all__ = ["fingerprint", "run_tasks"]


def run_tasks(
    tasks: Sequence[Task],
    folder: Path,
    model: Model,
    *,
    workers: int = 1,
    executor: Executor | str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    log: Path | None = None,
    progress: bool = False,
    label: str = "tasks",
) -> list[dict[str, object]]:
    """Do the tasks that are not done yet, and return every task's record in the order of the tasks.

    A task that fails is recorded, with "error" in place of "result", and tried again the next time.

    Args:
        tasks: what to do; equal ones are done once.
        folder: for the records, KEY.json, and the film strips, KEY.png. Others' files in it are left alone.
        model: as `load_model(model.name, device, dtype)` gives it, which is how workers load theirs.
        workers: processes of one thread each; 1 works in this process with its threads.
        executor: instead of them any executor, or the address of a Dask scheduler; its workers compute with one thread
            each, and a worker may have its own GPU.
        device: see `model`.
        dtype: see `model`.
        log: a file to log finished tasks in; with it, deleted results are detected.
        progress: show a progress bar with the time left.
        label: in front of it.

    Returns:
        [{"key", "task" (its identity), "model" (its fingerprint), "strip" (a file name or None), "result" | "error"}],
        with "replaces" where a record stands in for one that was damaged or deleted.

    Raises:
        InputError: no worker at all, a folder that is full or cannot be written, a cluster that does not answer, or
            a worker that has other weights. What was finished stays finished.
    """
    weights = fingerprint(model)
    here = workers == 1 and executor is None
    return finish_tasks(
        tasks,
        TaskFolder.at(folder),
        weights,
        partial(_same, model) if here else _Source(model.name, device, dtype, weights),
        workers=workers,
        executor=executor,
        log=log and TaskLog(log),
        progress=progress,
        label=label,
    )


def _same(model: Model) -> Model:
    return model


@dataclass(frozen=True)
class _Source:
    """How a worker loads its model, and checks that it is the right one."""

    name: str
    device: str | None
    dtype: str | None
    weights: str

    def __call__(self) -> Model:
        quiet_libraries()
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        model = load_model(self.name, self.device, self.dtype)
        if (found := fingerprint(model)) != self.weights:
            raise InputError(
                f"a worker's {self.name} has weights {found}, but those asked for are {self.weights}; put the same "
                "checkpoint in the same place on every machine, and say device and dtype"
            )
        return model


def fingerprint(model: Model) -> str:
    """A hash of a model's weights and of its scheduler's configuration."""
    digest = hashlib.sha256(json.dumps(dict(model.scheduler.config), sort_keys=True, default=str).encode())
    for part in model.networks.values():
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:20]
