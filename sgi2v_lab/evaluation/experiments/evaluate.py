"""Run an evaluation: every method and setting on every sample of a data set. Each video is a task with a record.

In the folder, plan.json is written first; tasks/ holds a record and a film strip for each video; videos/ holds MP4s
where they are asked for. A killed run resumes, `Plan.status` shows the progress, and a report can be written any time.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.evaluation.datasets.registry import open_dataset
from sgi2v_lab.evaluation.datasets.sample import Dataset
from sgi2v_lab.evaluation.experiments.arms import plan_arms, reference_of
from sgi2v_lab.evaluation.experiments.grid import BASE, Grid, as_grid, preset_grid, read_grid
from sgi2v_lab.evaluation.experiments.plan import PLAN, TASKS, TRUTH, Arm, Plan, PlannedQuestion, PlannedTask
from sgi2v_lab.evaluation.experiments.video_task import VideoTask
from sgi2v_lab.evaluation.scenes.scenes import SCORED
from sgi2v_lab.evaluation.tasks.command_line import command_line
from sgi2v_lab.evaluation.tasks.records import Record, RecordFolder, task_key
from sgi2v_lab.evaluation.tasks.run import run_tasks
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.files import as_path, write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import Settings
from sgi2v_lab.video import write_video

with needs("evaluation"):
    import cv2

__all__ = ["ModelSource", "evaluate", "fingerprint"]

TYPED = {"categories": "category", "how": "fit"}  # a data set's options that the command calls otherwise


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
    device: str | None = None,
    dtype: str | None = None,
    videos: bool = False,
    progress: bool = False,
) -> Plan:
    """Make and measure the videos that are missing.

    Args:
        out: the folder for results. What an earlier start finished there is used again.
        data: a name in `DATASETS`.
        model: as in `load_model`, like device and dtype.
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
        device: where the model runs.
        dtype: its precision.
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
    out, loaded = as_path(out, "a folder"), load_model(model, device, dtype)
    study = _study(grid, loaded, preset, changes)
    own = loaded.preset(study.preset)
    base = own.replace(**study.changes(BASE, {}, own))
    arms, questions = plan_arms(study, loaded, own, methods)
    options = dict(data_options or {})
    if data == "benchmark" and not options.get("categories"):
        named = [name for question in questions for name in question.categories]
        options["categories"] = list(dict.fromkeys(named)) or list(SCORED)
    # a grid may vary the size of the picture
    opened = cache(lambda size, frames: open_dataset(data, folder, size=size, num_frames=frames, **options))

    def suited(settings: Settings) -> Dataset:
        return opened((settings.width, settings.height), loaded.num_frames(settings))

    found = _samples(suited(base), samples)
    models = {arm.dtype: load_model(model, device, arm.dtype) if arm.dtype else loaded for arm in arms}
    weights = {precision: fingerprint(used) for precision, used in models.items()}
    pairs: dict[str | None, list[tuple[PlannedTask, VideoTask]]] = {precision: [] for precision in models}
    for arm in arms:
        asked, settings = _asked_of(arm, questions, found), own.replace(**arm.changes)
        pairs[arm.dtype] += _tasks_of(arm, settings, suited(settings), asked, seeds, weights[arm.dtype])
    planned = [task for some in pairs.values() for task, _ in some]
    if not planned:
        raise InputError(f"there is nothing to evaluate: no sample of the data set {data} is asked for")
    given = {"data": data, "folder": folder, "model": model, "methods": None if methods is None else ",".join(methods)}
    given |= {"grid": grid, "preset": None if grid else preset, "samples": samples, "seeds": seeds}
    given |= {TYPED.get(name, name): value for name, value in options.items()} | {"device": device, "dtype": dtype}
    plan = Plan(
        title=study.title,
        data=data,
        data_source="scenes of the toy's world, and photographs" if data == "benchmark" else str(folder),
        model=model,
        weights={precision or "default": digest for precision, digest in weights.items()},
        seeds=seeds,
        base=base.model_dump(mode="json"),
        arms=[arm for arm in arms if any(arm.label == task.arm for task in planned)],
        reference=reference_of(arms),
        questions=questions,
        tasks=planned,
        command=command_line("evaluate", given | {"out": out}, changes),
        machine=describe_machine(device),
    )
    write_text(out / PLAN, plan.model_dump_json(indent=1) + "\n")
    order = {sample: place for place, sample in enumerate(found)}
    for precision, used in models.items():
        # sample by sample, so that a run that is stopped early has whole ones
        some = sorted(pairs[precision], key=lambda pair: (order[pair[0].sample], pair[0].seed))
        load = ModelSource(model, device, precision or dtype, weights[precision])
        if workers == 1:
            load = lambda used=used: used  # noqa: E731
        where = {"workers": workers, "progress": progress, "label": precision or "evaluation"}
        records = run_tasks([x for _, x in some], RecordFolder.at(out / TASKS), weights[precision], load, **where)
        if videos:
            _write_videos(out / "videos", [task for task, _ in some], records, out / TASKS)
    return plan


def _study(grid: str | Path | None, model: Model, preset: str, changes: Mapping[str, object] | None) -> Grid:
    if grid is None:
        return as_grid({"title": "Ways to control a video", "preset": preset, "base": dict(changes or {})})
    if changes:
        raise InputError(f"a grid has its own settings, so {next(iter(changes))} cannot be given beside it")
    return preset_grid(model.presets, model.settings) if str(grid) == "presets" else read_grid(grid)


Samples = dict[str, tuple[str, bool]]  # name: category, and whether there is a true video


def _samples(dataset: Dataset, most: int | None) -> Samples:
    """All samples, or the first ones. Damaged ones stay, so that they are reported."""
    found: Samples = {}
    for name in dataset.names[:most]:
        try:
            sample = dataset.load(name)
        except InputError:
            found[name] = (dataset.kind, False)
        else:
            found[name] = (sample.category or dataset.kind, sample.clip is not None)
    return found


@cache
def _identity(dataset: Dataset, name: str) -> dict[str, object]:
    try:
        return dataset.identity(name)
    except InputError as error:
        return {"dataset": dataset.kind, "sample": name, "damaged": str(error)}


def _asked_of(arm: Arm, questions: Iterable[PlannedQuestion], samples: Samples) -> dict[str, str]:
    """Category by name of the samples on which a question tries this arm."""
    wanted = [question.categories for question in questions if arm.label in question.arms]
    return {
        name: category
        for name, (category, has_clip) in samples.items()
        if any(not names or category in names for names in wanted) and (has_clip or arm.method != TRUTH)
    }


def _tasks_of(
    arm: Arm, settings: Settings, dataset: Dataset, samples: Mapping[str, str], seeds: int, weights: str
) -> Iterator[tuple[PlannedTask, VideoTask]]:
    for sample, category in samples.items():
        identity = _identity(dataset, sample)
        for seed in range(1, 2 if arm.method == TRUTH else seeds + 1):
            task = VideoTask(dataset, sample, identity, arm.method, seed, settings, tuple(arm.changes))
            key = task_key(task.identity(), weights)
            yield PlannedTask(key=key, arm=arm.label, sample=sample, category=category, seed=seed), task


@dataclass(frozen=True)
class ModelSource:
    """How a worker loads its model, and checks that it is the right one."""

    name: str
    device: str | None
    dtype: str | None
    weights: str

    def __call__(self) -> Model:
        """The model, for a process of one thread; InputError where its weights are others."""
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        model = load_model(self.name, self.device, self.dtype)
        if (found := fingerprint(model)) != self.weights:
            todo = "put the same checkpoint in the same place on every machine, and give device and dtype"
            raise InputError(f"a worker's {self.name} has weights {found} instead of {self.weights}; {todo}")
        return model


def fingerprint(model: Model) -> str:
    """A hash of a model's weights and of its scheduler's configuration."""
    digest = hashlib.sha256(json.dumps(dict(model.scheduler.config), sort_keys=True, default=str).encode())
    for part in model.networks.values():
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:20]


def _write_videos(folder: Path, planned: Iterable[PlannedTask], records: Iterable[Record], strips: Path) -> None:
    """SAMPLE, ARM, seed N.mp4, from the film strips."""
    for task, record in zip(planned, records, strict=True):
        path = folder / f"{task.sample}, {task.arm}, seed {task.seed}.mp4".replace("/", "-")
        if record.strip and not path.exists():
            write_video(path, read_strip(strips / record.strip, record.result["frames"]))
