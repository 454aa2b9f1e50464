"""Objects of data sets: what follows from their masks, and which of them are asked to move.

A mask is an int32 array (height, width) with one number per object. Coordinates are pixel edges: an object that is the
single pixel (3, 5) has the box (3, 5, 4, 6) and the centre (3.5, 5.5).
"""

from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.shapes import Boxes

__all__ = ["Masks", "keep", "largest_disc", "read_mask", "screen", "trace"]

Masks = Int32[np.ndarray, "frames h w"]
LEAST_SIDE = 8  # pixels: one latent cell of Stable Video Diffusion


def keep(ids: list[int], reasons: list[str | None]) -> list[int]:
    """The objects without a reason to drop them; InputError, with the reasons, if none is left."""
    kept = [number for number, reason in zip(ids, reasons, strict=True) if reason is None]
    if not kept:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(Counter(reasons).items())) or "there was none"
        raise InputError(f"no object is left to follow ({why}): expected at least one, so leave the sample out")
    return kept


def screen(boxes: Boxes, size: tuple[int, int], margin: float | None = None) -> list[int]:
    """Which boxes (boxes, frames, 4), in pixels of a picture of `size`, can be controlled and judged.

    Dropped are those that are "outside" (the first box's centre is not in the picture), "small" (a side of the first
    box is below 8 pixels) or "far outside" (the centre leaves the picture by more than `margin` of its sides).
    """
    centers = (boxes[..., :2] + boxes[..., 2:]) / 2 / boxes.new_tensor(size)
    outside = (centers - 0.5).abs().amax(dim=-1) - 0.5  # how far, in sides of the picture
    reasons: list[str | None] = []
    for box, out in zip(boxes, outside, strict=True):
        far = margin is not None and bool(out.max() > margin)
        small = bool((box[0, 2:] - box[0, :2]).min() < LEAST_SIDE)
        reasons.append("outside" if out[0] > 0 else "small" if small else "far outside" if far else None)
    return keep(list(range(len(boxes))), reasons)


def read_mask(path: Path, size: tuple[int, int]) -> Int32[np.ndarray, "h w"]:
    """Read the objects' numbers: the indices of a palette PNG, or the values of a grey one (8 or 16 bits).

    Raises:
        InputError: the mask is missing, damaged, in colours, or not of its picture's size (width, height).
    """
    try:
        with PIL.Image.open(path, formats=["PNG"]) as picture:
            mode, values = picture.mode, np.array(picture)
    except Exception as error:  # decoders raise anything on damaged bytes, and all of it means the same
        raise InputError(f"the mask {path} cannot be read ({error}): expected a PNG for each picture") from None
    if values.ndim == 3 or values.shape[1::-1] != tuple(size):
        found = f"{values.shape[1]} x {values.shape[0]} pixels in mode {mode}"
        raise InputError(f"the mask {path} has {found}: expected a number for each pixel of its picture, {size}")
    return values.astype(np.int32)


def trace(masks: Masks, number: int) -> tuple[Float[Tensor, "frames 4"], Float[Tensor, "frames 2"]]:
    """An object's tight box and centre of gravity in each frame; in the first it must be visible.

    Where it is hidden, both stay where it was last seen.
    """
    places: list[tuple[float, ...]] = []
    for mask in masks:
        rows, columns = np.nonzero(mask == number)
        if len(rows):
            center = columns.mean() + 0.5, rows.mean() + 0.5
            places.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, *center))
        else:
            places.append(places[-1])
    found = torch.tensor(places, dtype=torch.float32)
    return found[:, :4], found[:, 4:]


def largest_disc(inside: Bool[np.ndarray, "h w"]) -> tuple[float, float, float]:
    """Centre (x, y) and radius of the largest disc in an object and in the picture; the first in reading order."""
    with needs("evaluation"):
        import cv2
    padded = np.pad(inside.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = divmod(int(distance.argmax()), distance.shape[1])
    # distances go to the centre of the nearest pixel outside, half a pixel beyond the object's edge
    return column + 0.5, row + 0.5, float(distance[row, column]) - 0.5
