"""The one runner: every method and setting on every sample of a data set, each video a task with a record.

In the folder, plan.json is written first; tasks/ holds a record and a film strip for each video; videos/ holds MP4s
where they are asked for. A killed run resumes, `Plan.status` shows the progress, and a report can be written any time.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.evaluation.datasets.registry import open_dataset
from sgi2v_lab.evaluation.datasets.sample import Dataset
from sgi2v_lab.evaluation.experiments.grid import BASE, Grid, Variant, preset_grid, read_grid
from sgi2v_lab.evaluation.experiments.plan import (
    PLAN,
    TASKS,
    TRUTH,
    Arm,
    Plan,
    PlannedClaim,
    PlannedQuestion,
    PlannedTask,
)
from sgi2v_lab.evaluation.experiments.video_task import VideoTask
from sgi2v_lab.evaluation.tasks.command_line import command_line
from sgi2v_lab.evaluation.tasks.records import Record, RecordFolder, task_key
from sgi2v_lab.evaluation.tasks.run import run_tasks
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.quiet import quiet_libraries
from sgi2v_lab.settings import CONTROL_FIELDS, Settings
from sgi2v_lab.video import write_video

with needs("evaluation"):
    import cv2

__all__ = ["BENCHMARK_CATEGORIES", "evaluate", "fingerprint"]

BENCHMARK_CATEGORIES = ("single", "two", "pinned", "pan")  # those that the toy is made for, with true clips
TRUE_VIDEO, NO_CONTROL = "True video", METHODS["none"].title


def evaluate(
    out: Path,
    data: str = "benchmark",
    model: str = "toy",
    *,
    folder: str | Path | None = None,
    methods: Iterable[str] | None = None,
    grid: str | Path | None = None,
    preset: str = "own",
    changes: Mapping[str, object] | None = None,
    samples: int | None = None,
    seeds: int = 1,
    data_options: Mapping[str, object] | None = None,
    workers: int = 1,
    dask: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    videos: bool = False,
    progress: bool = False,
) -> Plan:
    """Make and measure the videos that are missing.

    Args:
        out: the folder; what an earlier start finished there is used again.
        data: a name in `DATASETS`.
        model: as in `load_model`.
        folder: of the data set; the benchmark needs none.
        methods: names in `METHODS`; None for all, or with a grid for those that it names.
        grid: settings to try with SG-I2V: a file (see `grid`), the name of one that comes with the package, or
            "presets" for the model's own.
        preset: of the model's settings; a grid names its own.
        changes: to the preset's settings.
        samples: at most so many of the data set; None for all.
        seeds: videos of each sample and arm: 1, 2, ...
        data_options: of the data set, see `open_dataset`; for the benchmark `categories` and `scenes`.
        workers: processes of this machine, of one thread each; 1 works in this process with its threads.
        dask: in place of them, the address of a Dask scheduler. A worker may have its own GPU.
        device: as in `load_model`.
        dtype: as in `load_model`.
        videos: write each video as an MP4, too.
        progress: show a progress bar with the time left.

    Returns:
        The plan, whose tasks are done now; `report.read_study` reads it with its results.

    Raises:
        InputError: an unknown data set, method, grid or setting; nothing to evaluate; a folder that cannot be
            written. A video that fails is recorded instead, and tried again the next time.
    """
    if seeds < 1:
        raise InputError(f"the number of seeds is {seeds}, but must be at least 1")
    loaded = load_model(model, device, dtype)
    study = _grid(grid, loaded, preset, changes)
    own = loaded.preset(study.preset)
    options = dict(data_options or {})
    if data == "benchmark":
        named = [name for question in study.questions for name in question.categories]
        options["categories"] = list(options.get("categories") or dict.fromkeys(named) or BENCHMARK_CATEGORIES)
    opened = cache(lambda size, frames: open_dataset(data, folder, size=size, num_frames=frames, **options))
    arms, questions = _arms(study, loaded, own, methods)
    base = own.replace(**study.changes(BASE, {}, own))
    found = _samples(opened((base.width, base.height), loaded.latent_shape(base)[0]), samples)
    asked = {arm.label: [q.categories for q in questions if arm.label in q.arms] for arm in arms}
    tasks: dict[str, list[tuple[PlannedTask, VideoTask]]] = {}  # by precision
    weights: dict[str, str] = {}
    models = {None: loaded}
    for arm in arms:
        if arm.dtype not in models:
            models[arm.dtype] = load_model(model, device, arm.dtype)
        used = models[arm.dtype]
        name = arm.dtype or dtype or "default"
        weights[name] = weights.get(name) or fingerprint(used)
        settings = _settings(arm, own, used)
        dataset = opened((settings.width, settings.height), used.latent_shape(settings)[0])
        for sample, (category, has_clip) in found.items():
            wanted = any(not names or category in names for names in asked[arm.label])
            if not wanted or (arm.method == TRUTH and not has_clip):
                continue
            identity = _identity(dataset, sample)
            for seed in range(1, 2 if arm.method == TRUTH else seeds + 1):
                task = VideoTask(dataset, sample, identity, arm.method, seed, settings, tuple(arm.changes))
                key = task_key(task.identity(), weights[name])
                planned = PlannedTask(key=key, arm=arm.label, sample=sample, category=category, seed=seed)
                tasks.setdefault(name, []).append((planned, task))
    if not tasks:
        raise InputError(f"there is nothing to evaluate: the data set {data} has no sample that the grid asks for")
    order = {sample: place for place, sample in enumerate(found)}
    for pairs in tasks.values():  # sample by sample, so that a run that is stopped early has whole ones
        pairs.sort(key=lambda pair: (order[pair[0].sample], pair[0].seed))
    given = {"data": data, "folder": folder, "model": model, "methods": None if methods is None else ",".join(methods)}
    given |= {"grid": grid, "preset": None if grid else preset, "samples": samples, "seeds": seeds, **_written(options)}
    given |= {"device": device, "dtype": dtype, "out": out}
    plan = Plan(
        title=study.title,
        data=data,
        data_source="drawn scenes, held out of all training" if data == "benchmark" else str(folder),
        model=model,
        weights=weights,
        seeds=seeds,
        base=base.model_dump(mode="json"),
        arms=[arm for arm in arms if any(arm.label == planned.arm for pairs in tasks.values() for planned, _ in pairs)],
        reference=_reference(arms),
        questions=questions,
        tasks=[planned for pairs in tasks.values() for planned, _ in pairs],
        command=command_line("evaluate", given, None if grid else changes),
        machine=describe_machine(device),
    )
    write_text(out / PLAN, plan.model_dump_json(indent=1) + "\n")
    records = RecordFolder.at(out / TASKS)
    for name, pairs in tasks.items():
        precision = dtype if name == "default" else name
        used = models.get(name) or loaded
        here = workers == 1 and dask is None
        made = run_tasks(
            [task for _, task in pairs],
            records,
            weights[name],
            partial(_same, used) if here else _Source(model, device, precision, weights[name]),
            workers=workers,
            dask=dask,
            progress=progress,
            label="evaluation" if len(tasks) == 1 else name,
        )
        if videos:
            _write_videos(out, [planned for planned, _ in pairs], made)
    return plan


# --- what is compared ------------------------------------------------------------------------------------------------


def _grid(grid: str | Path | None, model: Model, preset: str, changes: Mapping[str, object] | None) -> Grid:
    if grid is None:
        model.preset(preset)  # an unknown one is an error here
        return Grid(title="Ways to control a video", preset=preset, base=dict(changes or {}))
    if changes:
        raise InputError(f"a grid has its own settings, so {next(iter(changes))} cannot be given beside it")
    return preset_grid(model.presets, model.settings) if str(grid) == "presets" else read_grid(grid)


def _arms(
    grid: Grid, model: Model, own: Settings, methods: Iterable[str] | None
) -> tuple[list[Arm], list[PlannedQuestion]]:
    """Everything that is compared, and the report's questions; equal arms of several questions are one."""
    single = grid.name == ""  # no grid: methods alone
    wanted = list(METHODS) if methods is None and single else list(dict.fromkeys(methods or ()))
    if unknown := [name for name in wanted if name not in METHODS]:
        raise InputError(f"unknown method {unknown[0]!r}; choose some of {', '.join(METHODS)}")
    arms: dict[str, Arm] = {}
    questions = []
    for question in grid.questions:
        names = list(dict.fromkeys([*wanted, *question.methods])) or ["none"]
        base, *others = grid.variants(question, own)
        variants = [base, *others] if not single or "sgi2v" in names else []
        found = _of_methods([name for name in names if name != "sgi2v"], base, single or "sgi2v" not in names)
        found += _of_variants(variants, base, single, any(name == "none" for name in names))
        for arm in found:
            _check(arm, own, model)
            arms.setdefault(arm.label, arm)
        labels = list(dict.fromkeys(arm.label for arm in found))
        by_settings = {_key(grid, own, v.changes, v.method): _named(v, single) for v in variants}
        questions.append(
            PlannedQuestion(
                ask=question.ask,
                note=question.note,
                arms=[TRUE_VIDEO, *labels],
                categories=question.categories,
                measures=question.measures,
                claims=[_claim(claim, grid, own, by_settings) for claim in question.claim],
            )
        )
    return [Arm(label=TRUE_VIDEO, group="method", method=TRUTH), *arms.values()], questions


def _of_methods(names: list[str], base: Variant, alone: bool) -> list[Arm]:
    plain = NO_CONTROL if "none" in names else None
    return [
        Arm(
            label=METHODS[name].title,
            group="method",
            method=name,
            changes=base.changes,
            source=METHODS[name].source,
            plain=plain if name != "none" else None,
        )
        for name in names
    ]


def _of_variants(variants: list[Variant], base: Variant, single: bool, with_plain: bool) -> list[Arm]:
    """The arms of a grid's rows, and the arms without control that their ratios are taken to."""
    arms: list[Arm] = []
    for each in variants:
        plain = None
        if with_plain:
            shared = {name: value for name, value in each.changes.items() if name not in CONTROL_FIELDS}
            differs = each.dtype or any(base.changes.get(name, each) != value for name, value in shared.items())
            plain = f"{NO_CONTROL}, {each.label}" if differs else NO_CONTROL
            if differs:
                arms.append(Arm(label=plain, group="method", method="none", changes=shared, dtype=each.dtype))
        arms.append(
            Arm(
                label=_named(each, single),
                group="method" if single else each.group,
                method=each.method,
                changes=each.changes,
                source=METHODS[each.method].source if single else None,
                plain=plain,
                dtype=each.dtype,
            )
        )
    return arms


def _named(variant: Variant, single: bool) -> str:
    return METHODS["sgi2v"].title if single else variant.label


def _key(grid: Grid, own: Settings, changes: Mapping[str, object], method: str) -> tuple[Settings, str]:
    return own.replace(**changes), method


def _claim(claim: object, grid: Grid, own: Settings, labels: Mapping[tuple, str]) -> PlannedClaim:
    def side(given: dict | list[dict]) -> list[str]:
        rows = given if isinstance(given, list) else [given]
        found = []
        for row in rows:
            key = _key(grid, own, grid.changes(claim.text, row, own), row.get("method", "sgi2v"))
            if key not in labels:
                raise InputError(f"{grid.name}, claim {claim.text!r}: the grid tries no setting {row!r}; add it")
            found.append(labels[key])
        return found

    return PlannedClaim(text=claim.text, measure=claim.measure, better=side(claim.better), worse=side(claim.worse))


def _check(arm: Arm, own: Settings, model: Model) -> None:
    try:
        model.check_layers(own.replace(**arm.changes).layers)
    except InputError as error:
        raise InputError(f"setting {arm.label!r} does not suit the model: {error}") from error


def _reference(arms: list[Arm]) -> str:
    """SG-I2V with the base's settings, or whatever there is."""
    ours = [arm.label for arm in arms if arm.method == "sgi2v"]
    return (ours or [arm.label for arm in arms if arm.method not in (TRUTH, "none")] or [arms[-1].label])[0]


def _settings(arm: Arm, own: Settings, model: Model) -> Settings:
    return own if arm.method == TRUTH else own.replace(**arm.changes)


# --- samples ---------------------------------------------------------------------------------------------------------


def _samples(dataset: Dataset, most: int | None) -> dict[str, tuple[str, bool]]:
    """Category of each sample, and whether it has a true video. Damaged samples stay, so that they are reported."""
    found = {}
    for name in dataset.names[:most]:
        try:
            sample = dataset.load(name)
        except InputError:
            found[name] = (dataset.kind, False)
        else:
            found[name] = (sample.category, sample.clip is not None)
    return found


@cache
def _identity(dataset: Dataset, name: str) -> dict[str, object]:
    try:
        return dataset.identity(name)
    except InputError as error:
        return {"dataset": dataset.kind, "sample": name, "damaged": str(error)}


def _written(options: Mapping[str, object]) -> dict[str, object]:
    """The data set's options by their names on the command line."""
    names = {"categories": "category", "how": "fit"}
    return {names.get(name, name): value for name, value in options.items()}


# --- the model in workers --------------------------------------------------------------------------------------------


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


# --- videos ----------------------------------------------------------------------------------------------------------


def _write_videos(out: Path, planned: Iterable[PlannedTask], records: Iterable[Record]) -> None:
    """videos/SAMPLE, ARM, seed N.mp4, from the film strips."""
    for task, record in zip(planned, records, strict=True):
        path = out / "videos" / (f"{task.sample}, {task.arm}, seed {task.seed}".replace("/", "-") + ".mp4")
        if record.strip and not path.exists():
            write_video(path, read_strip(out / TASKS / record.strip, record.result["frames"]))
