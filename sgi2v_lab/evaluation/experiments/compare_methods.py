"""Compare all methods on the same scenes: no control, the baselines and SG-I2V, with all metrics.

The folder is that of a sweep: `sweep.json` is the plan, written first; `tasks/` holds a record and a film strip for
each video; `log.jsonl` says when it was made. `sweep_status` shows the progress, `report` writes a page at any time,
and a killed run resumes.
"""

import json
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.evaluation.experiments.method_task import MethodTask, method_tasks
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.evaluation.tasks.command_line import command_line
from sgi2v_lab.evaluation.tasks.folder import task_key
from sgi2v_lab.evaluation.tasks.run import fingerprint, run_tasks
from sgi2v_lab.evaluation.tasks.status import LOG, PLAN, TASKS
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model

__all__ = ["DEFAULT_CATEGORIES", "DEFAULT_SCENES", "evaluate"]

DEFAULT_CATEGORIES = ("single", "two", "pinned", "pan")  # those whose true clips are known and that the toy is made for
DEFAULT_SCENES = 8  # of each: 32 clips are the fewest of which a toy Frechet distance can be taken


def evaluate(
    out: Path,
    model: str = "toy",
    *,
    methods: Iterable[str] | None = None,
    categories: Iterable[str] | None = None,
    scenes: int | None = DEFAULT_SCENES,
    seeds: int = 1,
    workers: int = 1,
    executor: Executor | str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = False,
) -> list[dict[str, object]]:
    """Make and measure the videos that are missing.

    Args:
        out: the folder; what an earlier start finished there is used again.
        model: as in `load_model`.
        methods: names in `METHODS`; None for all.
        categories: of the benchmark's scenes; None for `DEFAULT_CATEGORIES`.
        scenes: at most so many of each category; None for all.
        seeds: videos of each scene and method: 1, 2, ...
        workers: processes of this machine, of one thread each.
        executor: instead of them any executor, or the address of a Dask scheduler.
        device: as in `load_model`.
        dtype: as in `load_model`.
        progress: show a progress bar with the time left.

    Returns:
        The tasks' records, as `run_tasks` gives them.

    Raises:
        InputError: an unknown method or category, a number that cannot be used, or a folder that cannot be written.
    """
    methods = list(METHODS) if methods is None else list(methods)
    categories = list(DEFAULT_CATEGORIES if categories is None else categories)
    chosen = benchmark_scenes(categories, scenes)
    loaded = load_model(model, device, dtype)
    tasks = method_tasks(loaded, methods, chosen, seeds)
    weights = fingerprint(loaded)
    options = {"model": model, "method": methods, "category": categories, "scenes": scenes, "seeds": seeds}
    plan = {
        "sweep": "sgi2v_lab",
        "kind": "methods",
        "title": "Ways to control a video, compared",
        "data": "the toy's benchmark, held out of all training",
        "model": model,
        "fingerprint": weights,
        "scenes": [scene.name for scene in chosen],
        "seeds": seeds,
        "settings": [_method(name) for name in methods],
        "base": loaded.settings.as_dict(),
        "command": command_line("evaluate", options | {"device": device, "dtype": dtype, "out": out}),
        "machine": describe_machine(device),
        "tasks": [_listed(task, weights) for task in tasks],
    }
    write_text(out / PLAN, json.dumps(plan, indent=1, ensure_ascii=False) + "\n")
    return run_tasks(
        tasks,
        out / TASKS,
        loaded,
        log=out / LOG,
        label="evaluation",
        workers=workers,
        executor=executor,
        device=device,
        dtype=dtype,
        progress=progress,
    )


def _method(name: str) -> dict[str, object]:
    method = METHODS[name]
    return {"label": method.title, "group": "method", "changes": {}, "method": name, "source": method.source}


def _listed(task: MethodTask, weights: str) -> dict[str, str]:
    title = METHODS[task.method].title
    name = f"{task.scene.name}, seed {task.seed}, {title}"
    return {"key": task_key(task.identity(), weights), "name": name, "setting": title}
