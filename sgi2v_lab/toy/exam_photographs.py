"""Photographs that the toy has not been trained on, and an object in each that is asked to move.

All ship with libraries that are dependencies. They show the real world, of which there is no true answer.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["PHOTOGRAPHS", "Photograph", "read_photograph"]


@dataclass(frozen=True)
class Photograph:
    """An object in a photograph that ships with a library, and the way that it is asked to go."""

    source: str  # skimage, sklearn or matplotlib
    name: str
    shows: str
    crop: tuple[int, int, int, int]  # x0, y0, x1, y1 in its pixels; stretched to the model's picture
    box: tuple[int, int, int, int]  # about the object, in its pixels
    by: tuple[float, float]  # in sides of the cropped picture


# Licences, as the libraries state them. scikit-learn: CC BY 2.0, china.jpg by danielbuechele, flower.jpg by vultilion.
# scikit-image: camera CC0 (Lav Varshney), coins no known restrictions (Brooklyn Museum), ihc no known restrictions
# (CMMI), retina CC0 (M. Häggström), hubble public domain (NASA), cell CC0 (P. Müller
# et al.), clock public domain (S. van der Walt), moon not stated. matplotlib: grace_hopper.jpg, a portrait
# by the United States Navy.
PHOTOGRAPHS = (
    Photograph("sklearn", "flower", "a dahlia", (120, 0, 640, 427), (170, 80, 450, 365), (0.25, 0.0)),
    Photograph("sklearn", "china", "a pavilion", (20, 0, 447, 427), (85, 25, 335, 300), (0.25, 0.0)),
    Photograph("skimage", "camera", "a head", (0, 0, 512, 512), (170, 60, 315, 205), (-0.25, 0.0)),
    Photograph("skimage", "coins", "a coin", (0, 0, 200, 200), (22, 28, 68, 76), (0.16, 0.19)),
    Photograph("skimage", "moon", "a crater", (30, 10, 286, 266), (82, 55, 142, 115), (0.2, 0.15)),
    Photograph("skimage", "immunohistochemistry", "a gland", (150, 200, 462, 512), (240, 298, 388, 492), (-0.25, 0.0)),
    Photograph("skimage", "retina", "an optic disc", (40, 340, 640, 940), (130, 540, 310, 760), (0.25, 0.0)),
    Photograph("skimage", "hubble_deep_field", "a galaxy", (30, 300, 230, 500), (100, 375, 146, 421), (0.2, 0.15)),
    Photograph("skimage", "cell", "a cell", (150, 170, 550, 570), (355, 295, 500, 450), (-0.25, 0.0)),
    Photograph("skimage", "clock", "a clock", (60, 10, 340, 290), (140, 90, 285, 215), (-0.25, 0.0)),
    Photograph("matplotlib", "grace_hopper", "a head", (40, 0, 512, 472), (200, 15, 380, 265), (-0.25, 0.0)),
)


@cache
def read_photograph(source: str, name: str) -> Float[Tensor, "1 3 h w"]:
    """A whole photograph, values 0..1."""
    if source == "sklearn":
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    elif source == "skimage":
        import skimage.data

        pixels = getattr(skimage.data, name)()
    else:
        import matplotlib
        import numpy
        import PIL.Image

        pixels = numpy.array(PIL.Image.open(f"{matplotlib.get_data_path()}/sample_data/{name}.jpg").convert("RGB"))
    pixels = torch.from_numpy(pixels.copy())
    pixels = pixels[..., None].expand(*pixels.shape, 3) if pixels.ndim == 2 else pixels[..., :3]
    return pixels.permute(2, 0, 1)[None].float() / 255
