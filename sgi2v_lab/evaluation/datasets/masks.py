"""Masks of objects: read as numbers, and what boxes and centres follow from them.

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

with needs("evaluation"):
    import cv2

__all__ = ["Disc", "largest_disc", "mask_boxes", "mask_centers", "match_masks", "read_mask"]

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
            if mode in ("RGB", "RGBA"):
                raise InputError(
                    f"the mask {path} is a picture in colours ({mode}): expected one number per pixel, as a palette or "
                    "grey PNG"
                )
            values = np.array(picture)
    except FileNotFoundError:
        raise InputError(f"there is no mask {path}: expected one for each picture, so check the download") from None
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged bytes, and all of it means the same
        raise InputError(f"the mask {path} is damaged ({error}): expected a whole PNG, so fetch it again") from None
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
    there = {path.stem for path in masks.iterdir() if path.suffix.lower() == ".png" and path.name[0] != "."}
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


def mask_boxes(masks: list[Mask], number: int) -> tuple[Float[Tensor, "frames 4"], Bool[Tensor, "frames"]]:
    """The tight box of an object in each frame, and where it is visible; it must be in the first frame.

    Where it is not, its box stays at the last place where it was seen.
    """
    boxes: list[list[float]] = []
    seen = []
    for mask in masks:
        rows, columns = np.nonzero(mask == number)
        seen.append(len(rows) > 0)
        if seen[-1]:
            boxes.append([float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0])
        else:
            boxes.append(boxes[-1])
    return torch.tensor(boxes), torch.tensor(seen)


def mask_centers(masks: list[Mask], number: int) -> tuple[Float[Tensor, "frames 2"], Bool[Tensor, "frames"]]:
    """The centre of gravity of an object in each frame, as `mask_boxes` its box."""
    centers: list[list[float]] = []
    seen = []
    for mask in masks:
        rows, columns = np.nonzero(mask == number)
        seen.append(len(rows) > 0)
        centers.append([columns.mean() + 0.5, rows.mean() + 0.5] if seen[-1] else centers[-1])
    return torch.tensor(centers), torch.tensor(seen)


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
