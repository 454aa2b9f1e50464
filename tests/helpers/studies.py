"""Folders as `evaluate` writes them, with figures of our choice: for tests of reports."""

from functools import cache
from pathlib import Path

import torch

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.evaluation.experiments.plan import PLAN, TASKS, TRUTH, Arm, Plan, PlannedQuestion, PlannedTask
from sgi2v_lab.evaluation.experiments.video_task import VideoResult
from sgi2v_lab.evaluation.metrics.frechet import toy_features
from sgi2v_lab.evaluation.metrics.measured import MeasuredVideo
from sgi2v_lab.evaluation.metrics.motion_distance import motion_histograms
from sgi2v_lab.evaluation.tasks.records import Record, RecordFolder, task_key
from sgi2v_lab.evaluation.tasks.strips import strip_of
from sgi2v_lab.files import write_text

WEIGHTS = "0123456789abcdef0123"
SIZE, FRAMES = (32, 32), 3
BOXES = [[(4.0 + 8 * k, 4.0, 14.0 + 8 * k, 14.0) for k in range(FRAMES)]]
BASE = {"cutoff": 0.5, "learning_rate": 0.2, "control_steps": [5, 20], "features": "aligned"}
MACHINE = {"versions": {"python": "3.11.9"}, "platform": "Linux", "device": "cpu", "device_name": "x86_64"}
TRUE_VIDEO = Arm(label="True video", group="method", method=TRUTH)
GREY = torch.full((FRAMES, 3, *SIZE[::-1]), 0.5)


def method(name):
    """An arm of a comparison of methods."""
    plain = METHODS["none"].title if name != "none" else None
    return Arm(label=METHODS[name].title, group="method", method=name, source=METHODS[name].source, plain=plain)


def variant(label, group, **changes):
    """An arm of a grid."""
    return Arm(label=label, group=group, method="sgi2v", changes=changes, plain="No control")


@cache
def features(video):
    """What distances of sets are computed from."""
    paths = MeasuredVideo(video).grid_tracks.points
    found = {"toy_frechet": toy_features([video])[0], "motion_distance": motion_histograms(paths, video.shape[-2])}
    return {name: one.tolist() for name, one in found.items()}


def result(values, video=GREY):
    """A `VideoResult`: of ObjMC, or of several measures."""
    values = {"objmc": float(values)} if isinstance(values, int | float) else values
    return VideoResult(
        values={name: value for name, value in values.items() if name != "seconds"},
        reasons={} if "background_drift" in values else {"background_drift": "the background is too plain"},
        details={"objmc": {"tracker": "ncc"}},
        features=features(video),
        seconds=values.get("seconds"),
        resolution=SIZE,
        frames=FRAMES,
        boxes=BOXES,
    )


def study(folder, arms, figures, categories=None, missing=(), videos=None, questions=(), reference=None, **about):
    """Write plan.json, and for each video a record and a film strip: its own, or grey. Returns the folder.

    `figures` holds for each label, sample and perhaps seed the ObjMC, all values, or a sentence: why it failed.
    `missing` holds (label, place of the sample); `about` holds other fields of the plan.
    """
    folder, tasks = Path(folder), []
    records = RecordFolder.at(folder / TASKS)
    for label, each in figures.items():
        for place, values in enumerate(each):
            category = categories[place] if categories else "single"
            sample = f"{category}-{place}"
            for seed, value in enumerate(values if isinstance(values, list) else [values], start=1):
                identity = {"arm": label, "sample": sample, "seed": seed}
                key = task_key(identity, WEIGHTS)
                tasks.append(PlannedTask(key=key, category=category, **identity))
                if (label, place) in missing:
                    continue
                record = Record(key=key, task=identity, weights=WEIGHTS, seconds=1.0)
                if isinstance(value, str):
                    records.keep(record.model_copy(update={"error": value}))
                    continue
                shown = videos[label][place] if videos and label in videos else GREY
                made = result(value, shown).model_dump(mode="json")
                records.keep(record.model_copy(update={"result": made}), strip_of(shown))
    plan = Plan(
        **{
            "title": "A <small> study & its figures",
            "data": "benchmark",
            "data_source": "drawn scenes",
            "model": "toy",
            "weights": {"default": WEIGHTS},
            "seeds": max(task.seed for task in tasks),
            "base": BASE,
            "command": "sgi2v evaluate --out there",
            "machine": MACHINE,
        }
        | about,
        arms=list(arms),
        reference=reference or arms[-1].label,
        questions=list(questions) or [question("", arms)],
        tasks=tasks,
    )
    write_text(folder / PLAN, plan.model_dump_json())
    return folder


def question(ask, arms, claims=(), note="", categories=(), measures=()):
    """A `PlannedQuestion`."""
    return PlannedQuestion(
        ask=ask,
        note=note,
        arms=[arm.label for arm in arms],
        categories=list(categories),
        measures=list(measures),
        claims=list(claims),
    )


def methods(folder, figures, **options):
    """A comparison of methods: {method: its figures}, and the true videos by `TRUTH`."""
    arms = [TRUE_VIDEO if name == TRUTH else method(name) for name in figures]
    return study(folder, arms, {arm.label: each for arm, each in zip(arms, figures.values(), strict=True)}, **options)
