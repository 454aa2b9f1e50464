"""Sweeps: a task for every scene, seed and choice of settings; tables of all videos and of each setting's effect.

In the sweep's folder, `sweep.json` is the plan, written first; `tasks/` holds a record and a film strip for each video,
`log.jsonl` says when it was made; `results.json`, `results.csv` and `summary.csv` are written at the end. The
folder can be that of a benchmark; the two share equal videos.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from statistics import fmean, median

from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.grid import BASE, Variant, preset_grid, read_grid
from sgi2v_lab.evaluation.experiments.video_task import VideoTask, video_tasks
from sgi2v_lab.evaluation.metrics.intervals import difference_of_means, mean_of, ratio_of_means
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene, benchmark_scenes
from sgi2v_lab.evaluation.tasks.command_line import command_line
from sgi2v_lab.evaluation.tasks.folder import task_key
from sgi2v_lab.evaluation.tasks.run import fingerprint, run_tasks
from sgi2v_lab.evaluation.tasks.status import LOG, PLAN, TASKS
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import CONTROL_FIELDS

__all__ = ["ablate", "summarize_rows"]

UNCONTROLLED = "without control"
UNMEASURED = ("frames", "seconds")  # numbers of a result that say nothing about the video
DEFINITIONS = {
    "row": "one video with control; objmc_uncontrolled is that of the same scene and seed without",
    "mean": "over scenes, of which each is the mean over its seeds",
    "difference": "mean of the setting minus mean of the base, over the scenes that both have",
    "ratio": "mean ObjMC with control divided by mean ObjMC without, over scenes",
    "interval": "95% percentile bootstrap over scenes, both sides of a comparison drawn together, 4000 draws",
}


def ablate(
    out: Path,
    grid: str | Path,
    model: str = "toy",
    *,
    categories: Iterable[str] = ("single",),
    scenes: int | None = 8,
    seeds: int = 1,
    workers: int = 1,
    executor: Executor | str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = False,
) -> dict[str, object]:
    """Run or resume a grid of settings over scenes and seeds, and write its tables.

    Args:
        out: the folder; what an earlier start finished there is used again.
        grid: a file, see `grid`, the name of one that comes with the package, or "presets" for the model's own.
        model: as in `load_model`.
        categories: of the benchmark's scenes.
        scenes: at most so many of each category; None for all.
        seeds: videos of each scene and setting: 1, 2, ...
        workers: processes of this machine, of one thread each.
        executor: instead of them any executor, or the address of a Dask scheduler.
        device: as in `load_model`.
        dtype: as in `load_model`.
        progress: show a progress bar with the time left.

    Returns:
        What results.json holds: the plan without its tasks, "rows", "summary" (`summarize_rows`), "failures" and
        "replaced" (results that stand in for damaged or deleted ones).

    Raises:
        InputError: a grid, settings or a number that cannot be used, a full disk, or a base of which every video
            failed. What was finished is kept.
    """
    loaded = load_model(model, device, dtype)
    wanted = preset_grid(loaded.presets, loaded.settings) if grid == "presets" else read_grid(grid)
    loaded.settings = loaded.preset(wanted.preset)
    variants = wanted.variants(loaded.settings)
    categories = list(categories)
    chosen = benchmark_scenes(categories, scenes)
    options = {"grid": grid, "model": model, "category": categories, "scenes": scenes, "seeds": seeds}
    tasks = {variant.label: _tasks(loaded, chosen, seeds, variant) for variant in variants}
    weights = fingerprint(loaded)
    plan = {
        "sweep": "sgi2v_lab",
        "title": wanted.title,
        "grid": wanted.name,
        "model": model,
        "fingerprint": weights,
        "scenes": [scene.name for scene in chosen],
        "seeds": seeds,
        "data": "the toy's benchmark, held out of all training",
        "base": loaded.settings.replace(**variants[0].changes).as_dict(),
        "settings": [vars(each) | {"uncontrolled": _uncontrolled(each, variants[0])} for each in variants],
        "command": command_line("ablate", options | {"device": device, "dtype": dtype, "out": out}),
        "machine": describe_machine(device),
    }
    flat = [task for each in tasks.values() for task in each]
    _write(out / PLAN, plan | {"tasks": _listed(variants, tasks, weights)})
    options = {"workers": workers, "executor": executor, "device": device, "dtype": dtype, "progress": progress}
    records = run_tasks(flat, out / TASKS, loaded, log=out / LOG, label="sweep", **options)
    rows = _rows(variants, flat, records)
    report = {
        **plan,
        "definitions": DEFINITIONS,
        "summary": summarize_rows(rows),
        "failures": [{"task": r["task"], "error": r["error"]} for r in _once(records) if "error" in r],
        "replaced": [{"key": r["key"], "why": r["replaces"]} for r in _once(records) if "replaces" in r],
        "rows": rows,
    }
    _write(out / "results.json", report)
    _write_table(out / "results.csv", rows)
    _write_table(out / "summary.csv", [_flat(row) for row in report["summary"]])
    return report


def _tasks(model: Model, scenes: Sequence[BenchmarkScene], seeds: int, variant: Variant) -> list[VideoTask]:
    """Without control and with it, in turn; without it, most settings play no part, and the task is the same one."""
    try:
        return video_tasks(model, scenes, seeds, variant.changes)
    except InputError as error:
        raise InputError(f"setting {variant.label!r} does not suit the model: {error}") from error


def _listed(variants: Sequence[Variant], tasks: Mapping[str, Sequence[VideoTask]], weights: str) -> list[dict]:
    """Key, name and setting of every task; a video that serves several settings is listed for each of them."""
    listed = {}
    for variant in variants:
        for task in tasks[variant.label]:
            setting = variant.label if task.controlled else _uncontrolled(variant, variants[0])
            key, name = task_key(task.identity(), weights), f"{task.scene.name}, seed {task.seed}, {setting}"
            listed[key, setting] = {"key": key, "name": name, "setting": setting}
    return list(listed.values())


def _uncontrolled(variant: Variant, base: Variant) -> str:
    """What a variant's videos without control are called: the same for all that share them with the base."""
    changes = {name: value for name, value in variant.changes.items() if name not in CONTROL_FIELDS}
    if any(base.changes.get(name, variant) != value for name, value in changes.items()):
        return f"{UNCONTROLLED}, {variant.label}"
    return UNCONTROLLED


def _once(records: Iterable[dict]) -> list[dict]:
    return list({record["key"]: record for record in records}.values())


# --- the table -------------------------------------------------------------------------------------------------------


def _rows(variants: Sequence[Variant], tasks: Sequence[VideoTask], records: Sequence[dict]) -> list[dict]:
    """A row for each setting, scene and seed; the tasks come in pairs, without control and with it."""
    rows = []
    each = len(tasks) // len(variants)
    for place in range(0, len(tasks), 2):
        variant, task = variants[place // each], tasks[place + 1]
        plain, made = records[place], records[place + 1]
        rows.append(
            {
                "setting": variant.label,
                "group": variant.group,
                "scene": task.scene.name,
                "seed": task.seed,
                **{name: value for name, value in made.get("result", {}).items() if _is_number(value)},
                "objmc_uncontrolled": plain["result"]["objmc"] if "result" in plain else None,
                "error": made.get("error"),
                "key": made["key"],
            }
        )
    return rows


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def summarize_rows(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """For each setting the mean of every figure, its difference to the base, and the ratio of ObjMC to no control.

    Args:
        rows: with "setting", "group", "scene", "error", "objmc_uncontrolled", and any numbers that were measured. The
            first row's setting is the base.

    Returns:
        [{"setting", "group", "videos", "failed", "mean": {figure: interval}, "difference": {figure: interval},
        "ratio": interval or None, "seconds": median of a video or None}], intervals as in `Interval.as_dict`;
        "difference" is empty for the base.

    Raises:
        InputError: there is no row, or every video of the base failed.
    """
    if not rows:
        raise InputError("there is nothing to summarize: a sweep has at least one scene and one seed")
    known = ("setting", "group", "scene", "seed", "objmc_uncontrolled", "error", "key", *UNMEASURED)
    figures = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    base = [row for row in rows if row["setting"] == rows[0]["setting"]]
    if all(row["error"] for row in base):
        raise InputError(f"every video of the base failed, so nothing can be compared; the first: {base[0]['error']}")
    summary = []
    for label in dict.fromkeys(row["setting"] for row in rows):
        own = [row for row in rows if row["setting"] == label]
        mean, difference = {}, {}
        for name in figures:
            here, there = _by_scene(own, name), _by_scene(base, name)
            common = [scene for scene in here if scene in there]
            if here:
                mean[name] = mean_of(list(here.values())).as_dict()
            if common and own is not base and label != rows[0]["setting"]:
                sides = ([side[scene] for scene in common] for side in (here, there))
                difference[name] = difference_of_means(*sides).as_dict()
        pairs = [row for row in own if row.get("objmc") is not None and row["objmc_uncontrolled"] is not None]
        ratio = None
        if pairs and any(row["objmc_uncontrolled"] for row in pairs):
            sides = (list(_by_scene(pairs, name).values()) for name in ("objmc", "objmc_uncontrolled"))
            ratio = ratio_of_means(*sides).as_dict()
        summary.append(
            {
                "setting": label,
                "group": own[0]["group"],
                "videos": len(own),
                "failed": sum(row["error"] is not None for row in own),
                "mean": mean,
                "difference": difference,
                "ratio": ratio,
                "seconds": median(times) if (times := [row["seconds"] for row in own if row.get("seconds")]) else None,
            }
        )
    return summary


def _by_scene(rows: Iterable[Mapping], name: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.get(name) is not None:
            found.setdefault(row["scene"], []).append(row[name])
    return {scene: fmean(values) for scene, values in found.items()}


# --- writing ---------------------------------------------------------------------------------------------------------


def _write(path: Path, document: Mapping[str, object]) -> None:
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    """A summary's row with a column for each number."""
    flat = {name: row[name] for name in ("setting", "group", "videos", "failed")}
    figures = {name: found for name, found in row["mean"].items()}
    figures |= {f"{name} minus {BASE}": found for name, found in row["difference"].items()}
    figures |= {"ratio": row["ratio"]} if row["ratio"] else {}
    flat["seconds"] = row["seconds"]
    for name, found in figures.items():
        flat |= {name: found["value"], f"{name}, low": found["low"], f"{name}, high": found["high"]}
    return flat


def _write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(columns), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())
