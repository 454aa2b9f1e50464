"""What is measured of a whole set of videos at once: the toy Frechet distance of each arm to the true clips.

A distance between sets is no mean of distances of its videos, so it has no place in the tables of videos. It is taken
over the scenes and seeds that every arm has, so that all sets are of one size and of the same scenes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.clip_network import FEATURES
from sgi2v_lab.evaluation.metrics.frechet import frechet_distance, frechet_ratio_interval, toy_features
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.shapes import Video

__all__ = ["SetFigures", "set_figures"]


@dataclass(frozen=True)
class SetFigures:
    """The toy Frechet distance of each arm, and its ratio to that of the arm's videos without control."""

    clips: int  # in each set
    distances: Mapping[str, float]
    ratios: Mapping[str, Interval]
    missing: str | None = None  # why there is none


def set_figures(study: Study) -> SetFigures:
    """Take the distances, or say why they cannot be taken."""
    videos = {label: {(row.scene, row.seed): row for row in study.of(label)} for label in study.arms}
    videos = {label: rows for label, rows in videos.items() if rows}
    common = (
        [
            row
            for place, row in videos[study.reference].items()
            if row.category != "photo" and all(place in rows for rows in videos.values())
        ]
        if study.reference in videos
        else []
    )
    if len(common) < FEATURES:
        return SetFigures(len(common), {}, {}, _too_few(len(common)))
    places = [(row.scene, row.seed) for row in common]
    try:
        truth = toy_features(
            [BenchmarkScene(row.category, row.scene_seed).clip(row.resolution, row.frames) for row in common]
        )
        tables = {label: toy_features([_video(rows[place]) for place in places]) for label, rows in videos.items()}
        distances = {label: frechet_distance(truth, table) for label, table in tables.items()}
    except InputError as error:  # a film strip that cannot be read, or clips of several shapes
        return SetFigures(len(common), {}, {}, str(error))
    ratios = {}
    for label, table in tables.items():
        plain = study.arms[label].plain
        if plain in tables:
            try:
                found = frechet_ratio_interval(truth, table, tables[plain], scenes=[scene for scene, _ in places])
            except InputError:  # no ratio to videos that are perfect
                continue
            ratios[label] = Interval(found.ratio, found.low, found.high, len(set(study.scenes)))
    return SetFigures(len(common), distances, ratios)


def _too_few(clips: int) -> str:
    return (
        f"{clips} drawn scenes and seeds have a video in every setting, and the toy Fréchet distance takes at least "
        f"{FEATURES}"
    )


def _video(row: Row) -> Video:
    if row.strip is None:
        raise InputError(f"{row.scene}, seed {row.seed}, {row.setting} has no film strip")
    return read_strip(row.strip, row.frames)
