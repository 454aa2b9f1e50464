"""Work cut into pieces that survive an interruption: every finished task is a file.

The file is named after everything that the result depends on (what the task says of itself, and the model's weights).
So work that was killed goes on where it was, a changed setting computes only what it changes, and two programs can
share a folder. A task may keep a video, as a film strip without loss.
"""

import hashlib
import json
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import PIL.Image
import torch
from tqdm.auto import tqdm

from sgi2v_lab.errors import InputError
from sgi2v_lab.models import Model, load_model
from sgi2v_lab.quiet import quiet_libraries
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import as_frames, as_video, whole_file

__all__ = ["Task", "fingerprint", "read_film", "run_tasks", "write_film"]

VERSION = 1  # of what tasks do; raise it when that changes, and old results are not used again


@runtime_checkable
class Task(Protocol):
    """A piece of work whose result depends on nothing but itself and the model."""

    def identity(self) -> dict[str, object]:
        """All that the result depends on, as plain values."""
        ...

    def run(self, model: Model) -> tuple[dict[str, object], Video | None]:
        """The result as plain values, and a video to keep with it or None."""
        ...


def run_tasks(
    tasks: Sequence[Task],
    folder: Path,
    model: Model,
    *,
    workers: int = 1,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = False,
    label: str = "tasks",
) -> list[dict[str, object]]:
    """Do what has not been done, and return every task's record in the order of the tasks.

    A task that fails is recorded, with "error" in place of "result", and tried again the next time.

    Args:
        tasks: what to do; equal ones are done once.
        folder: for the records, KEY.json, and the film strips, KEY.png. Others' files in it are left alone.
        model: as `load_model(model.name, device, dtype)` gives it, which is how workers load theirs.
        workers: processes of one thread each; 1 works in this process with its threads.
        device: see `model`.
        dtype: see `model`.
        progress: show a progress bar.
        label: in front of it.

    Returns:
        [{"key", "task" (its identity), "model" (its fingerprint), "film" (a file name or None), "result" | "error"}]

    Raises:
        InputError: no worker at all, a folder that cannot be written, or a worker that was killed. What was finished
            stays finished.
    """
    if workers < 1:
        raise InputError(f"the number of workers is {workers}, but must be at least 1")
    weights = fingerprint(model)
    keys = [_key(task, weights) for task in tasks]
    todo = {key: task for key, task in zip(keys, tasks, strict=True) if not _finished(folder, key)}
    bar = tqdm(total=len(set(keys)), initial=len(set(keys)) - len(todo), desc=label, disable=not progress, unit="task")
    with bar:
        if workers == 1 or len(todo) == 1:
            for key, task in todo.items():
                _do(task, key, weights, folder, model)
                bar.update()
        elif todo:
            for _ in _in_processes(todo, weights, folder, (model.name, device, dtype), min(workers, len(todo))):
                bar.update()
    return [json.loads((folder / f"{key}.json").read_text(encoding="utf-8")) for key in keys]


def _in_processes(
    todo: dict[str, Task], weights: str, folder: Path, source: tuple[str | None, ...], workers: int
) -> Iterator[Future]:
    # spawned, since a fork of a process in which torch has started its threads can hang
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _prepare_worker) as pool:
        futures = [pool.submit(_do_there, task, key, weights, folder, source) for key, task in todo.items()]
        try:
            for future in as_completed(futures):
                future.result()
                yield future
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process was ended from outside, most often for want of memory; run the same again with "
                "fewer workers: what was finished is kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after an interruption only what is running is finished


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    quiet_libraries()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@cache
def _loaded(name: str, device: str | None, dtype: str | None) -> Model:
    return load_model(name, device, dtype)


def _do_there(task: Task, key: str, weights: str, folder: Path, source: tuple[str | None, ...]) -> None:
    _do(task, key, weights, folder, _loaded(*source))


def _do(task: Task, key: str, weights: str, folder: Path, model: Model) -> None:
    record = {"key": key, "version": VERSION, "task": task.identity(), "model": weights, "film": None}
    started = time.perf_counter()
    try:
        record["result"], video = task.run(model)
    except Exception as error:  # whatever it is, the other tasks have nothing to do with it
        record["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
        video = None
    record["seconds"] = round(time.perf_counter() - started, 3)
    if video is not None:
        record["film"] = write_film(folder / f"{key}.png", video).name
    # last, because it says that all is there
    with whole_file(folder / f"{key}.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _finished(folder: Path, key: str) -> bool:
    try:
        record = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        return "result" in record and (record["film"] is None or (folder / record["film"]).is_file())
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _key(task: Task, weights: str) -> str:
    text = json.dumps({"version": VERSION, "model": weights, **task.identity()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def fingerprint(model: Model) -> str:
    """A hash of a model's weights and of its scheduler's configuration: two models that differ have different ones."""
    digest = hashlib.sha256(json.dumps(dict(model.scheduler.config), sort_keys=True, default=str).encode())
    for part in (model.vae, model.unet, model.image_encoder):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:20]


# --- film strips -----------------------------------------------------------------------------------------------------


def write_film(path: Path, video: Video) -> Path:
    """Write the frames (frames, 3, h, w) side by side as one PNG, 8 bits and without loss."""
    frames = as_frames(video).numpy()
    with whole_file(path) as temporary:
        PIL.Image.fromarray(np.concatenate(list(frames), axis=1)).save(temporary)
    return path


def read_film(path: Path, num_frames: int) -> Video:
    """The video of a film strip, (num_frames, 3, h, w) in 0..1. InputError where it cannot be read."""
    try:
        with PIL.Image.open(path) as picture:
            strip = torch.from_numpy(np.array(picture.convert("RGB")))
    except OSError as error:
        raise InputError(f"{path} is no film strip ({error}); delete it, and run the same again") from error
    return as_video(torch.stack(strip.chunk(num_frames, dim=1)).contiguous())
