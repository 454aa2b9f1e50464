"""What is measured of a whole set of videos at once: distances of each arm's videos to the true ones.

They are taken over the samples and seeds that every arm has, so that all sets are of one size and of the same samples.
The features that they are computed from were measured with each video.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.frechet import frechet_ratio, squared_frechet
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.study import Row, Study
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
    found = {}
    for name in ["toy_frechet", "motion_distance"] if study.plan.data == "benchmark" else ["motion_distance"]:
        try:
            found[name] = _distances(study, name, real, made)
        except InputError as error:
            found[name] = SetFigures(len(real), {}, {}, str(error))
    return found


def _distances(study: Study, name: str, real: Sequence[Row], made: Mapping[str, Sequence[Row]]) -> SetFigures:
    rows = [*real, *(row for each in made.values() for row in each)]
    if len(real) < LEAST[name]:
        raise InputError(f"{len(real)} samples and seeds have all videos, and at least {LEAST[name]} are needed")
    if len({(row.result.resolution, row.result.frames) for row in rows}) > 1:
        raise InputError("the videos are of several sizes, which do not compare")
    if lacking := [row.task.name for row in rows if name not in row.result.features]:
        raise InputError(f"{lacking[0]} has no features for it: an earlier version measured it, or it is too short")
    features = {label: [row.result.features[name] for row in each] for label, each in made.items()}
    tables = {label: torch.tensor(each, dtype=torch.float64) for label, each in features.items()}
    truth = torch.tensor([row.result.features[name] for row in real], dtype=torch.float64)
    samples = [row.task.sample for row in real]
    plain = {label: tables[study.arms[label].plain] for label in tables if study.arms[label].plain in tables}
    ratios = {label: frechet_ratio(truth, tables[label], without, samples) for label, without in plain.items()}
    distances = {label: squared_frechet(truth, table).item() for label, table in tables.items()}
    return SetFigures(len(real), distances, {label: one for label, one in ratios.items() if one})
