"""The benchmark's scores: figures with intervals from the measurements of all videos, and which targets they meet.

A figure is a ratio of means over scenes, with control to without, and has a bootstrap interval over scenes
(`metrics.intervals`). A scene's own figure is the mean over its seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.clip_network import FEATURES
from sgi2v_lab.evaluation.metrics.frechet import frechet_ratio_interval, toy_features
from sgi2v_lab.evaluation.metrics.intervals import mean_of, ratio_of_means
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES, BenchmarkScene
from sgi2v_lab.evaluation.tasks.strips import read_strip

__all__ = ["CONTROL_TARGETS", "SCORED", "Pair", "by_scene", "pairs_of", "score_records", "summarize"]

SCORED = ("single", "two", "pinned", "pan")  # hard scenes and photographs are reported apart
CONTROL_TARGETS = {"single": 0.364, "two": 0.5, "pinned": 0.5, "pan": 0.5, "photo": 0.7}  # 0.364 is the paper's ratio
FRECHET_TARGET = 1.15
PSNR_TARGET = 24.0  # dB
LEAST_SCENES, LEAST_PHOTOGRAPHS = 64, 10
DEFINITIONS = {
    "objmc": "mean distance, over objects and frames, between the centre of the box asked for and the place where the "
    "tracker finds the object, in pixels of the video; of one scene the mean over its seeds",
    "floor": "the same, measured on the true clip: the tracker's own error",
    "ratio": "mean ObjMC with control divided by mean ObjMC without, over scenes",
    "interval": "95% percentile bootstrap over scenes, controlled and uncontrolled drawn together, 4000 draws",
    "psnr": "peak signal-to-noise ratio, in dB, of the first frame to the picture that the video was made from",
    "frechet": "toy Frechet distance of generated to true clips, one of each for every scene and seed of single, two, "
    "pinned and pan; features of a small network of ours, trained on the toy's world; not FID, not FVD; its interval "
    "draws scenes, each with all its clips",
}


@dataclass(frozen=True)
class Pair:
    """One scene and seed, without control and with it: two records of `run_tasks` that both have results."""

    scene: BenchmarkScene
    seed: int
    uncontrolled: dict
    controlled: dict


def pairs_of(records: Iterable[dict]) -> list[Pair]:
    """The pairs among records, in their order. Where one of a pair failed, there is no pair."""
    found: dict[tuple[BenchmarkScene, int], dict[str, dict]] = {}
    for record in records:
        task = record["task"]
        if task["kind"] == "video" and "result" in record:
            scene = BenchmarkScene(task["category"], task["scene_seed"])
            found.setdefault((scene, task["seed"]), {})[task["variant"]] = record
    return [Pair(scene, seed, **both) for (scene, seed), both in found.items() if len(both) == 2]


def by_scene(pairs: Iterable[Pair], variant: str, figure: str) -> dict[BenchmarkScene, float]:
    """A figure of each scene, the mean over its seeds; `variant` is "controlled" or "uncontrolled"."""
    found: dict[BenchmarkScene, list[float]] = {}
    for pair in pairs:
        found.setdefault(pair.scene, []).append(getattr(pair, variant)["result"][figure])
    return {scene: fmean(values) for scene, values in found.items()}


def summarize(pairs: Sequence[Pair], floors: Mapping[BenchmarkScene, float]) -> dict[str, object]:
    """The figures of some pairs: ObjMC of both variants, their ratio, the floor, PSNR, all with intervals; seconds.

    Raises InputError where there is no pair.
    """
    figures = {
        f"{figure}_{variant}": list(by_scene(pairs, variant, figure).values())
        for figure in ("objmc", "psnr")
        for variant in ("uncontrolled", "controlled")
    }
    ratio = ratio_of_means(figures["objmc_controlled"], figures["objmc_uncontrolled"])
    known = [floors[pair.scene] for pair in pairs if pair.scene in floors]
    seconds = {
        variant: round(median(getattr(pair, variant)["result"]["seconds"] for pair in pairs), 3)
        for variant in ("uncontrolled", "controlled")
    }
    return {
        "scenes": ratio.scenes,
        "videos": 2 * len(pairs),
        "ratio": ratio.as_dict(),
        **{name: mean_of(values).as_dict() for name, values in figures.items()},
        "floor": fmean(known) if known else None,
        "seconds_median": seconds,
    }


def score_records(records: Sequence[dict], folder: Path) -> dict[str, object]:
    """All figures of a benchmark, and which targets they meet.

    Args:
        records: from `run_tasks`, of truth and video tasks.
        folder: where their film strips are.

    Returns:
        Plain values for JSON: "criteria" (name, target, value, low, high, passed; passed is None where nothing was
        measured), "passed" (all of them), "complete" (scenes enough), "categories", "frechet", "definitions", what
        the figures depend on (tracker, resolution, frames, seeds), "scenes", "failures".

    Raises:
        InputError: no scene has both of its videos.
    """
    pairs = pairs_of(records)
    failures = [{"task": r["task"], "error": r["error"]} for r in records if "error" in r]
    if not pairs:
        why = f"; the first failure: {failures[0]['error']}" if failures else ""
        raise InputError(f"no scene has a video without control and one with it, so there is nothing to score{why}")
    floors = {
        BenchmarkScene(r["task"]["category"], r["task"]["scene_seed"]): r["result"]["objmc"]
        for r in records
        if r["task"]["kind"] == "truth" and "result" in r
    }
    groups = {name: [pair for pair in pairs if pair.scene.category == name] for name in CATEGORIES}
    categories = {name: summarize(group, floors) for name, group in groups.items() if group}
    scored = [pair for name in SCORED for pair in groups[name]]
    frechet = _frechet(scored, records, folder)
    criteria = [
        _criterion(f"control: {name}", categories[name]["ratio"] if name in categories else None, at_most=target)
        for name, target in CONTROL_TARGETS.items()
    ]
    kept = mean_of(list(by_scene(scored, "controlled", "psnr").values())).as_dict() if scored else None
    criteria.append(_criterion("quality: toy Frechet distance, controlled / uncontrolled", frechet, FRECHET_TARGET))
    criteria.append(_criterion("quality: PSNR of the first frame, dB", kept, at_least=PSNR_TARGET))
    counted = {name: figures["scenes"] for name, figures in categories.items()}
    enough = sum(counted.get(name, 0) for name in SCORED) >= LEAST_SCENES
    result = pairs[0].controlled["result"]
    return {
        "criteria": criteria,
        "passed": all(criterion["passed"] is True for criterion in criteria),
        "complete": enough and counted.get("photo", 0) >= LEAST_PHOTOGRAPHS and not failures,
        "categories": categories,
        "frechet": frechet,
        "definitions": DEFINITIONS,
        "tracker": result["tracker"],
        "resolution": result["resolution"],
        "frames": result["frames"],
        "seeds": sorted({pair.seed for pair in pairs}),
        "scenes": [_row(pair, floors) for pair in pairs],
        "failures": failures,
    }


def _criterion(
    name: str, figure: Mapping | None, at_most: float | None = None, at_least: float | None = None
) -> dict[str, object]:
    value, low, high = (None if figure is None else figure.get(key) for key in ("value", "low", "high"))
    passed = None
    if value is not None:
        passed = value <= at_most if at_most is not None else value >= at_least
    target = {"at_most": at_most} if at_most is not None else {"at_least": at_least}
    return {"name": name, **target, "value": value, "low": low, "high": high, "passed": passed}


def _row(pair: Pair, floors: Mapping[BenchmarkScene, float]) -> dict[str, object]:
    both = {"uncontrolled": pair.uncontrolled, "controlled": pair.controlled}
    return {
        "scene": pair.scene.name,
        "category": pair.scene.category,
        "scene_seed": pair.scene.seed,
        "seed": pair.seed,
        "floor": floors.get(pair.scene),
        **{f"objmc_{name}": record["result"]["objmc"] for name, record in both.items()},
        **{f"psnr_{name}": record["result"]["psnr"] for name, record in both.items()},
        **{f"strip_{name}": record["strip"] for name, record in both.items()},
    }


def _frechet(pairs: Sequence[Pair], records: Iterable[dict], folder: Path) -> dict[str, object]:
    """Both distances and their ratio; {"missing": why} where they cannot be had, such as for want of clips."""
    truths = {r["task"]["scene"]: r["strip"] for r in records if r["task"]["kind"] == "truth" and "result" in r}
    pairs = [pair for pair in pairs if pair.scene.name in truths]
    if len(pairs) < FEATURES:
        return {"missing": f"{len(pairs)} clips are fewer than the {FEATURES} features"}
    read = {
        "real": [truths[pair.scene.name] for pair in pairs],
        "generated": [pair.controlled["strip"] for pair in pairs],
        "baseline": [pair.uncontrolled["strip"] for pair in pairs],
    }
    frames = pairs[0].controlled["result"]["frames"]
    clips = {name: [read_strip(folder / strip, frames) for strip in strips] for name, strips in read.items()}
    try:
        tables = {name: toy_features(videos) for name, videos in clips.items()}
        found = frechet_ratio_interval(**tables, scenes=[pair.scene.name for pair in pairs])
    except InputError as error:  # no ratio to videos that are perfect, for one
        return {"missing": str(error)}
    return {
        "value": found.ratio,
        "low": found.low,
        "high": found.high,
        "controlled": found.distance,
        "uncontrolled": found.baseline_distance,
        "clips": found.clips,
    }
