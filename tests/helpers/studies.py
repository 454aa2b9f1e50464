"""Folders as sweeps, comparisons and benchmarks write them, with figures of our choice: for tests of reports."""

import json
from pathlib import Path

import torch

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.evaluation.experiments.method_task import MethodTask
from sgi2v_lab.evaluation.experiments.video_task import TruthTask, VideoTask
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.evaluation.tasks.folder import VERSION, TaskFolder, task_key
from sgi2v_lab.evaluation.tasks.status import PLAN, TASKS
from sgi2v_lab.evaluation.tasks.strips import write_strip
from sgi2v_lab.settings import Settings

WEIGHTS = "0123456789abcdef0123"
SIZE, FRAMES = (32, 32), 3
SETTINGS = Settings(width=SIZE[0], height=SIZE[1], num_frames=FRAMES)
MACHINE = {
    "versions": {"python": "3.11.9"},
    "platform": "Linux",
    "device": "cpu",
    "device_name": "x86_64",
    "threads": 1,
}


def record(task, values, weights=WEIGHTS, version=VERSION, key=None):
    """A record as `finish_tasks` makes it: of a result, or of a failure where the values are a sentence."""
    head = {
        "key": key or task_key(task.identity(), weights),
        "version": version,
        "task": task.identity(),
        "model": weights,
        "strip": None,
        "seconds": 1.0,
    }
    if isinstance(values, str):
        return head | {"error": values}
    about = {"tracker": "ncc", "resolution": list(SIZE), "frames": FRAMES, "per_object": [1.0]}
    return head | {"result": about | values}


def keep(folder, task, values, video=None, **options):
    """Write a record, and a film strip: grey, or the one given."""
    shown = torch.full((FRAMES, 3, *SIZE), 0.5) if video is None else video
    TaskFolder.at(Path(folder) / TASKS).keep(
        record(task, values, **options), None if isinstance(values, str) else shown
    )


def scenes(categories=("single",), most=4):
    return benchmark_scenes(categories, most)


def methods(folder, figures, chosen=None, missing=(), **options):
    """A comparison of methods.

    `figures` is {method: [values of each scene, or ObjMC, or a sentence]}; `missing` holds (method, place of scene).
    """
    folder = Path(folder)
    chosen = scenes(most=max(map(len, figures.values()))) if chosen is None else chosen
    listed = []
    for name, each in figures.items():
        title = METHODS[name].title
        for place, (scene, values) in enumerate(zip(chosen, each, strict=True)):
            task = MethodTask(name, scene, 1, SETTINGS, FRAMES)
            key = task_key(task.identity(), WEIGHTS)
            listed.append({"key": key, "name": f"{scene.name}, seed 1, {title}", "setting": title})
            if (name, place) not in missing:
                values = {"objmc": float(values)} if isinstance(values, int | float) else values
                keep(folder, task, values, key=key, **options)
    plan(
        folder,
        listed,
        kind="methods",
        settings=[
            {"label": METHODS[n].title, "group": "method", "changes": {}, "method": n, "source": METHODS[n].source}
            for n in figures
        ],
    )
    return folder


def ablation(folder, figures, plain, base=None):
    """An ablation: {label: (changes, [ObjMC of each scene])}, the first of which is the base."""
    folder, base = Path(folder), dict(base or {})
    chosen = scenes(most=len(plain))
    listed = []
    for label, (changes, values) in {"without control": ({}, plain), **figures}.items():
        for scene, value in zip(chosen, values, strict=True):
            task = VideoTask(scene, 1, SETTINGS.replace(**changes), label != "without control", FRAMES)
            key = task_key(task.identity(), WEIGHTS)
            listed.append({"key": key, "name": f"{scene.name}, seed 1, {label}", "setting": label})
            keep(folder, task, {"objmc": float(value), "psnr": 30.0 - value})
    settings = [
        {"label": label, "group": next(iter(changes), "base"), "changes": changes, "uncontrolled": "without control"}
        for label, (changes, _) in figures.items()
    ]
    plan(folder, listed, settings=settings, base=SETTINGS.replace(**base).as_dict())
    return folder


def plan(folder, listed, **more):
    """Write sweep.json."""
    document = {
        "sweep": "sgi2v_lab",
        "title": "A <small> study & its figures",
        "data": "the toy's benchmark",
        "model": "toy",
        "fingerprint": WEIGHTS,
        "seeds": 1,
        "base": SETTINGS.as_dict(),
        "command": "sgi2v evaluate --out there",
        "machine": MACHINE,
        "tasks": listed,
    } | more
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / PLAN).write_text(json.dumps(document))


def benchmark(folder, pairs):
    """A benchmark of pairs (ObjMC without control, with it), one for each scene, and of one scene of other settings."""
    folder = Path(folder)
    settings = SETTINGS
    for scene, both in zip(scenes(most=len(pairs)), pairs, strict=True):
        own = settings.replace(**scene.motion(FRAMES))
        for controlled, value in zip((False, True), both, strict=True):
            keep(folder, VideoTask(scene, 1, own, controlled, FRAMES), {"objmc": float(value), "psnr": 30.0})
        keep(folder, TruthTask(scene, SIZE, FRAMES), {"objmc": 0.25})
        other = VideoTask(scene, 1, own.replace(iterations=9), True, FRAMES)
        keep(folder, other, {"objmc": 99.0, "psnr": 1.0})  # of the claims, in the same folder
    document = {"benchmark": "sgi2v_lab", "model": "toy", "fingerprint": WEIGHTS, "settings": settings.as_dict()}
    (folder / "benchmark.json").write_text(json.dumps(document | {"command": "sgi2v benchmark"} | MACHINE))
    return folder


def replace_strip(path, video):
    """Put another video in place of a film strip that is there; the record keeps the size that it had."""
    write_strip(path, video)
