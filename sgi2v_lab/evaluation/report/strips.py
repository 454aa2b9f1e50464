"""Film strips of a report: which videos are shown, and each as a picture with the boxes asked for drawn over it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import PIL.Image

from sgi2v_lab.evaluation.experiments.video_task import VideoResult
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.evaluation.report.wording import number, within

__all__ = ["Strip", "by_objmc", "chosen_strips", "ranked"]

CAPTION = ("objmc", "box_iou", "bg_obj_ctd", "fidelity", "first_frame_psnr")
QUALITY = 88  # of JPEG; the lossless strips are in the folder
WIDEST = 1600  # pixels of a strip: larger videos are shrunk


@dataclass(frozen=True)
class Strip:
    """A film strip as the page shows it."""

    title: str
    caption: str
    uri: str  # the picture itself, as a data URI
    result: VideoResult


def by_objmc(rows: Sequence[Row]) -> list[Row]:
    """A video of each sample, from the smallest ObjMC to the largest.

    A sample is represented by the seed whose ObjMC is its median, the lower one of two.
    """
    samples: dict[str, list[Row]] = {}
    for row in sorted((row for row in rows if "objmc" in row.values), key=lambda row: row.values["objmc"]):
        samples.setdefault(row.task.sample, []).append(row)
    return sorted((each[(len(each) - 1) // 2] for each in samples.values()), key=lambda row: row.values["objmc"])


def ranked(rows: Sequence[Row]) -> dict[str, Row]:
    """The best, the median and the worst video by ObjMC, of different samples as far as there are.

    Two samples have a best and a worst one, and no median.
    """
    ordered = by_objmc(rows)
    places = {"best": 0, "median": (len(ordered) - 1) // 2, "worst": len(ordered) - 1}
    wanted = {0: (), 1: ("best",), 2: ("best", "worst")}.get(len(ordered), tuple(places))
    return {rank: ordered[places[rank]] for rank in wanted}


def chosen_strips(study: Study) -> tuple[list[Strip], list[Strip]]:
    """The reference's best, median and worst videos, and the median one's sample, true and by every arm.

    Those whose pictures cannot be read are left out.
    """
    chosen = ranked(study.of(study.reference))
    found = [_strip(row, f"{rank.capitalize()}: {row.task.name}") for rank, row in chosen.items()]
    row = chosen.get("median", chosen.get("best"))
    same = [each for each in study.of(study.truth) if row and each.task.sample == row.task.sample]
    same += [each for label in study.arms for each in study.of(label) if row and each.place == row.place]
    return [strip for strip in found if strip], [strip for each in same if (strip := _strip(each, each.task.name))]


def _strip(row: Row, title: str) -> Strip | None:
    try:
        with PIL.Image.open(row.strip or "") as picture:
            strip = picture.convert("RGB")
    except OSError:
        return None
    strip.thumbnail((WIDEST, strip.height), PIL.Image.Resampling.LANCZOS)
    buffer = BytesIO()
    strip.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    figures = [f"{within(name)} {number(row.values[name], name)}" for name in CAPTION if name in row.values]
    return Strip(title, " · ".join(figures), uri, row.result)
