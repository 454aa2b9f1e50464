"""What is measured of a whole set of videos at once: distances of each arm's videos to the true ones.

They are taken over the samples and seeds that every arm has, so that all sets are of one size and of the same samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.frechet import frechet_ratio_interval, squared_frechet, toy_features
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.metrics.motion_distance import motion_histograms
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.toy.training.clip_network import FEATURES

__all__ = ["SetFigures", "Sets", "set_figures"]

LEAST = {"toy_frechet": FEATURES, "motion_distance": 2}  # clips


@dataclass(frozen=True)
class SetFigures:
    """One distance of each arm's videos to the true ones, and its ratio to that of the arm's own no control."""

    clips: int  # in each set
    distances: Mapping[str, float]
    ratios: Mapping[str, Interval]  # those that can be had
    missing: str | None = None  # why there is none


Sets = Mapping[str, SetFigures]  # by names in `SET_METRICS`


def set_figures(study: Study) -> dict[str, SetFigures]:
    """The distances by names in `SET_METRICS`; none without true videos. The toy's own is for its benchmark alone."""
    truth = {row.task.sample: row for row in study.of(study.truth)}
    videos = {label: {row.place: row for row in study.of(label)} for label in study.arms if study.of(label)}
    if not truth or not videos:
        return {}
    places = [place for place in next(iter(videos.values())) if place[0] in truth]
    places = [place for place in places if all(place in rows for rows in videos.values())]
    real = [truth[sample] for sample, _ in places]
    made = {label: [rows[place] for place in places] for label, rows in videos.items()}
    shapes = {(row.result.resolution, row.result.frames) for rows in (real, *made.values()) for row in rows}
    found = {}
    for name in ["toy_frechet", "motion_distance"] if study.plan.data == "benchmark" else ["motion_distance"]:
        try:
            if len(real) < LEAST[name]:
                raise InputError(
                    f"{len(real)} samples and seeds have all videos, and at least {LEAST[name]} are needed"
                )
            if len(shapes) > 1:
                raise InputError("the videos are of several sizes, which do not compare")
            found[name] = _distances(study, name, real, made)
        except InputError as error:
            found[name] = SetFigures(len(real), {}, {}, str(error))
    return found


def _distances(study: Study, name: str, real: Sequence[Row], made: Mapping[str, Sequence[Row]]) -> SetFigures:
    truth, tables = _table(name, real), {label: _table(name, rows) for label, rows in made.items()}
    samples, ratios = [row.task.sample for row in real], {}
    for label, table in tables.items():
        if (plain := study.arms[label].plain) in tables:
            try:
                found = frechet_ratio_interval(truth, table, tables[plain], scenes=samples)
            except InputError:  # too few clips for an interval, or no control is perfect
                continue
            ratios[label] = Interval(found.ratio, found.low, found.high, len(set(samples)))
    return SetFigures(len(real), {x: squared_frechet(truth, table).item() for x, table in tables.items()}, ratios)


def _table(name: str, rows: Sequence[Row]) -> Float[Tensor, "clips features"]:
    for row in rows:
        if row.strip is None or not row.strip.exists():
            raise InputError(f"{row.task.name} has no film strip")
    return torch.stack([_features(name, r.strip, r.result.frames, r.strip.stat().st_mtime_ns) for r in rows]).double()


@lru_cache(maxsize=10_000)
def _features(name: str, strip: Path, frames: int, stamp: int) -> Float[Tensor, "features"]:
    clip = read_strip(strip, frames)
    return toy_features([clip])[0] if name == "toy_frechet" else motion_histograms(clip)
