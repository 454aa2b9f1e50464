"""What is measured of a whole set of videos at once: distances of each arm's videos to the true ones.

A distance between sets is no mean over videos, so no single video has one. It is taken over the samples and seeds that
every arm has, so that all sets are of one size and of the same samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.clip_network import FEATURES
from sgi2v_lab.evaluation.metrics.frechet import frechet_ratio_interval, squared_frechet, toy_features
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.metrics.motion_distance import motion_histograms
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.tasks.strips import read_strip

__all__ = ["SetFigures", "set_figures"]

LEAST = {"toy_frechet": FEATURES, "motion_distance": 2}  # clips


@dataclass(frozen=True)
class SetFigures:
    """One distance of each arm's videos to the true ones, and its ratio to that of the arm's own no control."""

    clips: int  # in each set
    distances: Mapping[str, float]
    ratios: Mapping[str, Interval]  # those that can be had
    missing: str | None = None  # why there is none


def set_figures(study: Study) -> dict[str, SetFigures]:
    """The distances by names in `SET_METRICS`; none without true videos. The toy's own is for its benchmark alone."""
    truth = {row.task.sample: row for row in study.of(study.truth)}
    videos = {label: {row.place: row for row in study.of(label)} for label in study.arms}
    videos = {label: rows for label, rows in videos.items() if rows}
    if not truth or not videos:
        return {}
    common = [place for place in next(iter(videos.values())) if place[0] in truth]
    common = [place for place in common if all(place in rows for rows in videos.values())]
    real = [truth[sample] for sample, _ in common]
    made = {label: [rows[place] for place in common] for label, rows in videos.items()}
    names = ["toy_frechet", "motion_distance"] if study.plan.data == "benchmark" else ["motion_distance"]
    return {name: _distances(study, name, real, made) for name in names}


def _distances(study: Study, name: str, real: list[Row], made: dict[str, list[Row]]) -> SetFigures:
    clips, samples = len(real), [row.task.sample for row in real]
    shapes = {(row.result.resolution, row.result.frames) for rows in (real, *made.values()) for row in rows}
    why = None
    if clips < LEAST[name]:
        why = f"{clips} samples and seeds have a true video and one of every method and setting; it takes {LEAST[name]}"
    elif len(shapes) > 1:
        why = "the videos are of several sizes, which do not compare"
    if why:
        return SetFigures(clips, {}, {}, why)
    try:
        truth = _table(name, real)
        tables = {label: _table(name, rows) for label, rows in made.items()}
    except InputError as error:  # a film strip that cannot be read
        return SetFigures(clips, {}, {}, str(error))
    distances = {label: squared_frechet(truth, table).item() for label, table in tables.items()}
    ratios = {}
    for label, table in tables.items():
        if (plain := study.arms[label].plain) in tables:
            try:
                found = frechet_ratio_interval(truth, table, tables[plain], scenes=samples)
            except InputError:  # too few clips for an interval, or no control is perfect
                continue
            ratios[label] = Interval(found.ratio, found.low, found.high, len(set(samples)))
    return SetFigures(clips, distances, ratios)


def _table(name: str, rows: list[Row]) -> Float[Tensor, "clips features"]:
    missing = [row.task.name for row in rows if row.strip is None or not row.strip.exists()]
    if missing:
        raise InputError(f"{missing[0]} has no film strip")
    strips = [(row.strip, row.result.frames, row.strip.stat().st_mtime_ns) for row in rows]
    return torch.stack([_features(name, *strip) for strip in strips]).double()


@lru_cache(maxsize=10_000)
def _features(name: str, strip: Path, frames: int, stamp: int) -> Float[Tensor, "features"]:
    clip = read_strip(strip, frames)
    return toy_features([clip])[0] if name == "toy_frechet" else motion_histograms(clip)
