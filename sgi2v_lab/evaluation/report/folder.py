"""Read the folder of a sweep, of a comparison of methods or of a benchmark, finished or not, into a `Study`."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.report.measures import MEASURES
from sgi2v_lab.evaluation.report.study import Arm, Row, Study
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene
from sgi2v_lab.evaluation.tasks.folder import Found, State, TaskFolder
from sgi2v_lab.evaluation.tasks.status import PLAN, TASKS, read_plan
from sgi2v_lab.settings import renamed_settings

__all__ = ["read_study"]

BENCHMARK, OLD_BENCHMARK = "benchmark.json", "exam.json"
WITHOUT, WITH = "without control", "with control"  # the benchmark's two arms
OUR_METHOD = "sgi2v"
MACHINE = ("versions", "platform", "device", "device_name", "threads")  # as `describe_machine` says them
BENCHMARK_DATA = "the toy's benchmark, held out of all training"


def read_study(folder: str | Path, reference: str | None = None) -> Study:
    """What a folder holds.

    Args:
        folder: of `ablate`, `evaluate` or `run_benchmark`; a sweep takes precedence over a benchmark.
        reference: the setting or method that all others are compared with; None for SG-I2V, a grid's base, or the
            benchmark's videos with control.

    Raises:
        InputError: there is no such folder, it is empty, it holds nothing that a report is made of, results of two
            models or of two versions, no result yet, only failures, or no such reference.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give one that sgi2v ablate, evaluate or benchmark has written")
    if not any(folder.iterdir()):
        raise InputError(
            f"{folder} is empty; make results first, with sgi2v ablate, evaluate or benchmark --out {folder}"
        )
    if (folder / PLAN).exists():
        study = _sweep(folder)
    elif found := [folder / name for name in (BENCHMARK, OLD_BENCHMARK) if (folder / name).exists()]:
        study = _benchmark(folder, found[0])
    else:
        why = "the benchmark did not finish: run the same command again" if (folder / TASKS).is_dir() else "see --help"
        raise InputError(f"{folder} holds neither {PLAN} nor {BENCHMARK}, so there is nothing to report ({why})")
    if not study.rows:
        raise InputError(f"none of the {study.planned} tasks of {folder} is finished; go on with: {study.command}")
    if not study.done:
        first = study.failed[0]
        raise InputError(
            f"all {len(study.failed)} videos of {folder} failed, so there is nothing to report; the first, "
            f"{first.setting} on {first.scene}, with {first.error}"
        )
    if reference is not None and reference not in study.arms:
        names = {arm.method: label for label, arm in study.arms.items() if arm.method}
        if reference not in names:
            raise InputError(f"there is no setting {reference!r} in {folder}; choose one of {', '.join(study.arms)}")
        reference = names[reference]
    return study if reference is None else replace(study, reference=reference)


# --- sweeps ----------------------------------------------------------------------------------------------------------


def _sweep(folder: Path) -> Study:
    plan, tasks = read_plan(folder), TaskFolder(folder.absolute() / TASKS)
    try:
        listed = [(task["key"], task["name"], task["setting"]) for task in plan["tasks"]]
        arms = _arms(plan["settings"])
        head = {name: plan[name] for name in ("title", "data", "model", "fingerprint", "seeds", "command", "machine")}
    except KeyError as error:
        raise InputError(
            f"{folder / PLAN} does not say {error}: an earlier version wrote it; run the same command again, which "
            "uses what is finished"
        ) from error
    rows, unfinished, stamps, records = [], [], [], []
    for key, name, setting in listed:
        found = tasks.look(key)
        if found.state in (State.FINISHED, State.FAILED):
            rows.append(_row(found, setting, tasks.path))
            stamps.append(found.stamp)
            records.append(found.record)
        else:
            unfinished.append(_unfinished(name, found, tasks.claimed(key)))
    _check_one_origin(folder, records, plan["fingerprint"])
    methods = plan.get("kind") == "methods"
    ours = [label for label, arm in arms.items() if arm.method == OUR_METHOD]
    return Study(
        kind="methods" if methods else "ablation",
        **head,
        arms=arms,
        reference=(ours or [label for label, arm in arms.items() if arm.plain] or list(arms))[0],
        rows=rows,
        unfinished=unfinished,
        planned=len(listed),
        made=_span(stamps),
        base=renamed_settings(plan.get("base", {})),
    )


def _arms(settings: Iterable[Mapping]) -> dict[str, Arm]:
    """All arms by label: those without control first, then the plan's in its order."""
    settings = list(settings)
    plain = next((each["label"] for each in settings if each.get("method") == "none"), None)
    arms = {}
    for each in settings:
        if name := each.get("uncontrolled"):
            arms.setdefault(name, Arm(name, "without control", method="none"))
    for each in settings:
        own = each.get("uncontrolled") or (plain if each["label"] != plain else None)
        arms[each["label"]] = Arm(
            each["label"], each["group"], renamed_settings(each["changes"]), each.get("method"), each.get("source"), own
        )
    return arms


def _unfinished(name: str, found: Found, claimed: bool) -> str:
    if claimed:
        return f"{name}: in flight"
    return f"{name}: {found.why}" if found.state is State.DAMAGED else f"{name}: not made yet"


# --- benchmarks ------------------------------------------------------------------------------------------------------


def _benchmark(folder: Path, file: Path) -> Study:
    try:
        benchmark = json.loads(file.read_text(encoding="utf-8"))
        settings, weights = renamed_settings(benchmark["settings"]), benchmark["fingerprint"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{file} cannot be read ({error}); run sgi2v benchmark again, which uses what is finished"
        ) from error
    tasks = TaskFolder(folder.absolute() / TASKS)
    rows, stamps, records, floors = [], [], [], {}
    for path in sorted(tasks.path.glob("[0-9a-f]*.json")):
        found = tasks.look(path.stem)
        if found.state not in (State.FINISHED, State.FAILED):
            continue
        task = found.record["task"]
        if task["kind"] == "truth" and "result" in found.record:
            floors[task["scene"]] = found.record["result"]["objmc"]
        if task["kind"] != "video" or not _of_benchmark(task, settings):
            continue
        rows.append(_row(found, WITH if task["variant"] == "controlled" else WITHOUT, tasks.path))
        stamps.append(found.stamp)
        records.append(found.record)
    _check_one_origin(folder, records, weights)
    order = {name: place for place, name in enumerate((WITHOUT, WITH))}
    rows.sort(key=lambda row: (order[row.setting], row.category, row.scene_seed, row.seed))
    arms = {
        WITHOUT: Arm(WITHOUT, "without control", method="none"),
        WITH: Arm(WITH, "with control", method=OUR_METHOD, plain=WITHOUT),
    }
    return Study(
        kind="benchmark",
        title="The benchmark: held-out scenes without control and with it",
        data=BENCHMARK_DATA,
        model=benchmark["model"],
        fingerprint=weights,
        arms=arms,
        reference=WITH,
        rows=rows,
        unfinished=[],
        planned=len(rows),
        seeds=max((row.seed for row in rows), default=0),
        command=benchmark.get("command"),
        machine={name: benchmark[name] for name in MACHINE if name in benchmark},
        made=_span(stamps),
        base=settings,
        floors=floors,
    )


def _of_benchmark(task: Mapping, settings: Mapping[str, object]) -> bool:
    """Whether a video has the benchmark's settings, apart from its scene's motion; `claims` adds others."""
    motion = BenchmarkScene(task["category"], task["scene_seed"]).motion(task["frames"])
    own = {name: value for name, value in renamed_settings(task["settings"]).items() if name != "num_frames"}
    return all(value == settings.get(name) or (name in motion and value == motion[name]) for name, value in own.items())


# --- records ---------------------------------------------------------------------------------------------------------


def _row(found: Found, setting: str, folder: Path) -> Row:
    record, task = found.record, found.record["task"]
    result = record.get("result", {})
    size = result.get("resolution")
    return Row(
        setting=setting,
        category=task["category"],
        scene=task["scene"],
        scene_seed=task["scene_seed"],
        seed=task["seed"],
        key=record["key"],
        values={name: float(result[name]) for name in MEASURES if _is_number(result.get(name))},
        tracker=result.get("tracker"),
        resolution=tuple(size) if size else None,
        frames=result.get("frames"),
        strip=folder / record["strip"] if record["strip"] else None,
        error=record.get("error"),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_one_origin(folder: Path, records: Iterable[Mapping], weights: str) -> None:
    """A report compares videos of one model, made by one version of the tasks."""
    records = list(records)
    models = sorted({str(record["model"]) for record in records} | ({weights} if records else set()))
    if len(models) > 1:
        raise InputError(
            f"{folder} holds results of {len(models)} models (weights {', '.join(models)}), which do not compare; run "
            "each into a folder of its own"
        )
    versions = sorted({str(record["version"]) for record in records})
    if len(versions) > 1:
        raise InputError(
            f"{folder} holds results of {len(versions)} versions of the tasks ({', '.join(versions)}), which do not "
            "compare; run the same command again in a new folder"
        )


def _span(stamps: Iterable[int | None]) -> tuple[float, float] | None:
    known = [stamp / 1e9 for stamp in stamps if stamp is not None]
    return (min(known), max(known)) if known else None
