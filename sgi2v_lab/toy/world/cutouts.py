"""Real things for the toy's hard set: outlines set by hand on the photographs that come with scikit-image.

A cut-out is a shape like the drawn ones: it fills the unit circle, y down, and has a signed distance. Its colours are
the photograph's.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import needs
from sgi2v_lab.images.photographs import read_photograph

__all__ = ["CUTOUTS", "cutout_colours", "cutout_distance"]


@dataclass(frozen=True)
class _Outline:
    """A polygon around a thing, in pixels (x, y) of a photograph."""

    photograph: str
    points: tuple[tuple[int, int], ...]


def _ring(x: float, y: float, radius: float) -> tuple[tuple[int, int], ...]:
    turns = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return tuple((round(x + radius * np.cos(t)), round(y + radius * np.sin(t))) for t in turns)


# fmt: off
_OUTLINES = {
    "cat": _Outline("chelsea", (
        (85, 38), (112, 17), (150, 7), (200, 4), (260, 5), (305, 13), (333, 35), (350, 70), (359, 110), (358, 140),
        (350, 165), (330, 195), (315, 215), (310, 235), (297, 254), (275, 266), (248, 272), (215, 269), (180, 259),
        (145, 242), (105, 215), (72, 183), (54, 146), (52, 110), (62, 72))),
    "cup": _Outline("coffee", (
        (174, 105), (181, 75), (201, 48), (236, 27), (285, 19), (335, 27), (371, 46), (394, 72), (404, 105), (400, 140),
        (389, 178), (374, 206), (350, 230), (325, 248), (305, 268), (282, 278), (263, 273), (247, 270), (236, 288),
        (222, 302), (206, 300), (198, 283), (201, 262), (213, 239), (197, 205), (183, 165), (175, 135))),
    "head": _Outline("astronaut", (
        (235, 17), (262, 23), (284, 39), (297, 63), (300, 90), (294, 112), (281, 126), (272, 135), (265, 139),
        (261, 152), (255, 167), (246, 179), (226, 186), (205, 183), (193, 171), (186, 153), (181, 133), (171, 126),
        (161, 114), (156, 95), (156, 75), (161, 56), (176, 43), (191, 34), (206, 24))),
    "patch": _Outline("astronaut", _ring(170.5, 385, 36)),
    "rocket": _Outline("rocket", (
        (322, 127), (329, 135), (333, 148), (333, 174), (331, 182), (331, 230), (313, 230), (313, 182), (311, 174),
        (311, 148), (315, 135))),
    "saucer": _Outline("coffee", (
        (78, 215), (86, 167), (110, 122), (146, 89), (178, 71), (201, 48), (236, 27), (285, 19), (335, 27), (371, 46),
        (396, 71), (410, 68), (422, 73), (416, 100), (441, 130), (464, 172), (476, 220), (468, 265), (443, 309),
        (403, 346), (349, 375), (285, 386), (221, 376), (162, 344), (117, 300), (89, 260))),
    "shuttle": _Outline("astronaut", (
        (356, 222), (355, 206), (371, 191), (377, 180), (378, 120), (383, 98), (384, 48), (388, 42), (396, 58),
        (398, 28), (404, 9), (415, 2), (428, 4), (436, 24), (438, 48), (444, 41), (451, 50), (454, 80), (454, 190),
        (456, 225), (440, 234), (412, 232), (405, 262), (390, 260), (385, 240), (372, 264), (369, 258), (377, 231))),
}
# fmt: on

CUTOUTS = {name: outline.photograph for name, outline in _OUTLINES.items()}  # and the photograph of each
_SIDE = 256  # pixels of the map of distances, which covers twice the unit circle, so that soft shadows fit
_REACH = 2.0


def _circle(name: str) -> tuple[float, float, float]:
    """Centre (x, y) and radius, in the photograph's pixels, of the circle around an outline."""
    with needs("evaluation"):
        import cv2
    (x, y), radius = cv2.minEnclosingCircle(np.array(_OUTLINES[name].points, dtype=np.float32))
    return x, y, radius


@cache
def _distances(name: str) -> Tensor:
    with needs("evaluation"):
        import cv2
    x, y, radius = _circle(name)
    unit = _SIDE / (2 * _REACH)
    corners = (np.array(_OUTLINES[name].points) - (x, y)) / radius * unit + _SIDE / 2
    mask = cv2.fillPoly(np.zeros((_SIDE, _SIDE), np.uint8), [np.rint(16 * corners).astype(np.int32)], 255, shift=4)
    # rounding the corners also takes off the rim, which has some of the photograph's background in it
    inside = (cv2.GaussianBlur(mask, (0, 0), 0.025 * unit) > 140).astype(np.uint8)
    outside, depth = (cv2.distanceTransform(mask, cv2.DIST_L2, 5) for mask in (1 - inside, inside))
    signed = outside - depth + inside - 0.5  # both count from pixel centres; the rim lies half way between two
    return torch.from_numpy(cv2.GaussianBlur(signed, (0, 0), 0.8) / unit)[None, None]


def cutout_distance(name: str, p: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points"]:
    """Signed distance, negative inside, of points p to a cut-out that fills the unit circle.

    Raises:
        ValueError: There is no cut-out of this name.
    """
    _known(name)
    rows = p.reshape(1, 1, -1, 2) / _REACH
    return F.grid_sample(_distances(name), rows, padding_mode="border", align_corners=False).view(p.shape[:-1])


@cache
def cutout_colours(name: str, side: int) -> Float[Tensor, "1 3 side side"]:
    """The square around a cut-out's unit circle, values 0..1, resized to `side` pixels without aliasing.

    Raises:
        ValueError: There is no cut-out of this name.
    """
    _known(name)
    photo, (x, y, radius) = read_photograph(_OUTLINES[name].photograph), _circle(name)
    margin = int(radius) + 1  # the circle may reach over the photograph's rim
    padded = F.pad(photo[None], (margin,) * 4, mode="replicate")
    left, top, span = round(x - radius) + margin, round(y - radius) + margin, round(2 * radius)
    crop = padded[..., top : top + span, left : left + span]
    return F.interpolate(crop, size=(side, side), mode="bilinear", antialias=True)


def _known(name: str) -> None:
    if name not in _OUTLINES:
        raise ValueError(f"unknown cut-out {name!r}: expected one of {', '.join(CUTOUTS)}")
