"""Masks of objects: read as numbers, and the boxes and centres that follow from them.

A mask is an int64 array (height, width) with one number per object. Coordinates are pixel edges: a mask of the one
pixel (3, 5) has the box (3, 5, 4, 6) and the centre (3.5, 5.5).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.files import in_order

with needs("evaluation"):
    import cv2

__all__ = ["Disc", "Followed", "follow_mask", "largest_disc", "match_masks", "read_mask"]

Mask = Int64[np.ndarray, "height width"]


def read_mask(path: Path, size: tuple[int, int]) -> Mask:
    """Read the objects' numbers: of a palette picture its indices, of a grey one (8 or 16 bits) its values.

    Args:
        path: a PNG file.
        size: (width, height) of the picture that it belongs to.

    Raises:
        InputError: the mask is missing, damaged, of another size, or a picture in colours.
    """
    try:
        with PIL.Image.open(path, formats=["PNG"]) as picture:
            mode, found = picture.mode, picture.size
            values = np.array(picture)
    except FileNotFoundError:
        raise InputError(f"there is no mask {path}: expected one for each picture, so check the download") from None
    except Exception as error:  # decoders raise anything on damaged bytes, and all of it means the same
        raise InputError(f"the mask {path} is damaged ({error}): expected a whole PNG, so fetch it again") from None
    if mode in ("RGB", "RGBA"):
        raise InputError(
            f"the mask {path} is a picture in colours ({mode}): expected one number per pixel, as a palette or grey PNG"
        )
    if found != tuple(size):
        raise InputError(f"the mask {path} has size {found} but its picture {tuple(size)}: expected the same")
    return (values[..., 0] if values.ndim == 3 else values).astype(np.int64)  # a few of DAVIS 2016 have an alpha


def match_masks(pictures: list[Path], masks: Path) -> list[Path]:
    """The mask of each picture, by the name without its suffix.

    Raises:
        InputError: there is no folder of masks, it has more or fewer masks than there are pictures, or other ones.
    """
    if not masks.is_dir():
        raise InputError(f"there are no masks {masks}: expected a folder of PNGs, so take a set that is annotated")
    there = {path.stem for path in in_order(masks.iterdir()) if path.suffix.lower() == ".png"}
    if len(there) != len(pictures):
        raise InputError(
            f"{masks} holds {len(there)} masks for {len(pictures)} pictures in {pictures[0].parent}: expected one each"
        )
    for picture in pictures:
        if picture.stem not in there:
            raise InputError(
                f"{masks} has no mask {picture.stem}.png for {picture}: expected masks named like pictures"
            )
    return [masks / f"{picture.stem}.png" for picture in pictures]


@dataclass(frozen=True)
class Followed:
    """Where an object's mask is in each frame. Where it is not visible, it waits where it was last seen."""

    boxes: Float[Tensor, "frames 4"]  # tight
    centers: Float[Tensor, "frames 2"]  # of gravity
    visible: Bool[Tensor, "frames"]


def follow_mask(masks: list[Mask], number: int) -> Followed:
    """Follow an object, which must be in the first frame, through the masks of a video."""
    boxes, centers, visible = [], [], []
    for mask in masks:
        rows, columns = np.nonzero(mask == number)
        visible.append(len(rows) > 0)
        if visible[-1]:
            boxes.append([float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0])
            centers.append([columns.mean() + 0.5, rows.mean() + 0.5])
        else:
            boxes.append(boxes[-1])
            centers.append(centers[-1])
    return Followed(torch.tensor(boxes), torch.tensor(centers, dtype=torch.float32), torch.tensor(visible))


@dataclass(frozen=True)
class Disc:
    """A disc: centre (x, y) and radius in pixels."""

    x: float
    y: float
    radius: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The square around it, x0, y0, x1, y1."""
        return self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius


def largest_disc(inside: Bool[np.ndarray, "height width"]) -> Disc:
    """The largest disc in an object: the maximum of the distance transform, and its value.

    The border of the picture counts as a border of the object, so the disc lies in the picture. Of several maxima the
    first in reading order is taken.
    """
    padded = np.pad(inside.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = divmod(int(distance.argmax()), distance.shape[1])
    # the transform counts to the centre of the nearest pixel outside, half a pixel beyond the object's edge
    return Disc(column + 0.5, row + 0.5, float(distance[row, column]) - 0.5)
