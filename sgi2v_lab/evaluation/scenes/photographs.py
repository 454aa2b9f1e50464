"""Photographs that the toy has not been trained on, and an object in each that is asked to move.

They show the real world, of which there is no true answer.
"""

from dataclasses import dataclass

__all__ = ["PHOTOGRAPHS", "Photograph"]


@dataclass(frozen=True)
class Photograph:
    """An object in a photograph, and the way that it is asked to go."""

    name: str  # as in `read_photograph`
    shows: str
    crop: tuple[int, int, int, int]  # x0, y0, x1, y1 in its pixels; stretched to the model's picture
    box: tuple[int, int, int, int]  # about the object, in its pixels
    by: tuple[float, float]  # in sides of the cropped picture


PHOTOGRAPHS = (
    Photograph("flower", "a dahlia", (120, 0, 640, 427), (170, 80, 450, 365), (0.25, 0.0)),
    Photograph("china", "a pavilion", (20, 0, 447, 427), (85, 25, 335, 300), (0.25, 0.0)),
    Photograph("camera", "a head", (0, 0, 512, 512), (170, 60, 315, 205), (-0.25, 0.0)),
    Photograph("coins", "a coin", (0, 0, 200, 200), (22, 28, 68, 76), (0.16, 0.19)),
    Photograph("moon", "a crater", (30, 10, 286, 266), (82, 55, 142, 115), (0.2, 0.15)),
    Photograph("immunohistochemistry", "a gland", (150, 200, 462, 512), (240, 298, 388, 492), (-0.25, 0.0)),
    Photograph("retina", "an optic disc", (40, 340, 640, 940), (130, 540, 310, 760), (0.25, 0.0)),
    Photograph("hubble_deep_field", "a galaxy", (30, 300, 230, 500), (100, 375, 146, 421), (0.2, 0.15)),
    Photograph("cell", "a cell", (150, 170, 550, 570), (355, 295, 500, 450), (-0.25, 0.0)),
    Photograph("clock", "a clock", (60, 10, 340, 290), (140, 90, 285, 215), (-0.25, 0.0)),
    Photograph("grace_hopper", "a head", (40, 0, 512, 472), (200, 15, 380, 265), (-0.25, 0.0)),
)
