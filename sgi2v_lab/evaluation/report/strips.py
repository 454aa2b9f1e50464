"""Film strips of a report: which videos are shown, and each as a picture with the boxes asked for drawn over it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import PIL.Image

from sgi2v_lab.evaluation.report.measures import MEASURES
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.report.wording import number
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene
from sgi2v_lab.video import PALETTE

__all__ = ["RANKS", "Box", "Strip", "one_scene", "ranked", "strips_of"]

RANKS = ("best", "median", "worst")
QUALITY = 88  # of JPEG; the lossless strips are in the folder
WIDEST = 1600  # pixels of a strip: larger videos are shrunk


@dataclass(frozen=True)
class Box:
    """A box asked for, in pixels of the strip."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True)
class Strip:
    """A film strip as the page shows it."""

    title: str
    caption: str
    uri: str  # the picture itself, as a data URI
    width: int
    height: int
    frames: int
    boxes: Sequence[Box]


def ranked(rows: Sequence[Row]) -> dict[str, Row]:
    """The best, the median and the worst video by ObjMC, of different scenes as far as there are.

    A scene is represented by the seed whose ObjMC is its median, the lower one of two. Two scenes have a best and a
    worst one, and no median.
    """
    scenes: dict[str, list[Row]] = {}
    for row in sorted((row for row in rows if "objmc" in row.values), key=_objmc):
        scenes.setdefault(row.scene, []).append(row)
    ordered = sorted((each[(len(each) - 1) // 2] for each in scenes.values()), key=_objmc)
    if not ordered:
        return {}
    places = {"best": 0, "median": (len(ordered) - 1) // 2, "worst": len(ordered) - 1}
    wanted = {1: ("best",), 2: ("best", "worst")}.get(len(ordered), RANKS)
    return {rank: ordered[places[rank]] for rank in wanted}


def strips_of(study: Study, setting: str) -> list[Strip]:
    """The strips of an arm's best, median and worst scenes; those whose pictures cannot be read are left out."""
    found = (
        (_strip(row, f"{rank.capitalize()}: {_place(row)}", study)) for rank, row in ranked(study.of(setting)).items()
    )
    return [strip for strip in found if strip]


def one_scene(study: Study) -> tuple[Row | None, list[Strip]]:
    """The scene on which the reference is at its median, in every arm."""
    chosen = ranked(study.of(study.reference))
    row = chosen.get("median", chosen.get("best"))
    if row is None:
        return None, []
    same = [
        each for label in study.arms for each in study.of(label) if (each.scene, each.seed) == (row.scene, row.seed)
    ]
    found = (_strip(each, each.setting, study) for each in same)
    return row, [strip for strip in found if strip]


def _objmc(row: Row) -> float:
    return row.values["objmc"]


def _place(row: Row) -> str:
    return f"{row.scene}, seed {row.seed}"


def _strip(row: Row, title: str, study: Study) -> Strip | None:
    if row.strip is None or not row.strip.exists() or row.frames is None or row.resolution is None:
        return None
    try:
        with PIL.Image.open(row.strip) as picture:
            strip = picture.convert("RGB")
    except OSError:
        return None
    width, height = strip.size
    shown = strip
    if width > WIDEST:
        shown = strip.resize((WIDEST, max(1, round(height * WIDEST / width))), PIL.Image.Resampling.LANCZOS)
    buffer = BytesIO()
    shown.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    figures = [
        f"{MEASURES[name].title} {number(value, name)}" for name, value in row.values.items() if name != "seconds"
    ]
    return Strip(
        title=title,
        caption=" · ".join(figures[:4]),
        uri="data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        width=width,
        height=height,
        frames=row.frames,
        boxes=_boxes(row),
    )


def _boxes(row: Row) -> list[Box]:
    """The boxes asked for in every frame, cut off at the frame's edges."""
    width, height = row.resolution
    asked = BenchmarkScene(row.category, row.scene_seed).asked((width, height), row.frames).boxes(row.frames)
    found = []
    for index, boxes in enumerate(asked.tolist()):
        color = PALETTE[index % len(PALETTE)]
        for frame, (x0, y0, x1, y1) in enumerate(boxes):
            x0, x1 = (min(max(x, 0.0), float(width)) for x in (x0, x1))
            y0, y1 = (min(max(y, 0.0), float(height)) for y in (y0, y1))
            if x1 > x0 and y1 > y0:
                found.append(
                    Box(round(frame * width + x0, 1), round(y0, 1), round(x1 - x0, 1), round(y1 - y0, 1), color)
                )
    return found
