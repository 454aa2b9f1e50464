"""The box of an object from one click on it: GrabCut at several sizes, of which the best outlined one counts.

GrabCut (Rother, Kolmogorov and Blake 2004; OpenCV's) tells foreground from background by colour, given a first guess.
A click says where an object is but not how large, so discs of several sizes are the guesses. No weights are needed.
"""

import os

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import read_image

__all__ = ["object_box", "object_mask"]

LONGEST = 128  # pixels of the longer side in which the object is looked for
RADII = (0.08, 0.13, 0.2, 0.3, 0.42)  # of the discs that may be the object, in shorter sides of the picture
SURE = 0.25  # of the radius: within it, all is object
REACH = 1.6  # of the radius: beyond it, nothing is
ROUNDS = 2  # of GrabCut
SMALLEST = 12  # pixels of an object
FAINTEST = 1.0  # least change of colour across an outline, in CIELAB units per pixel: about what an eye tells apart


def object_box(picture: str | os.PathLike | bytes | PIL.Image.Image, click: tuple[float, float]) -> tuple[float, ...]:
    """The box (x0, y0, x1, y1) about the object at a click, in pixels of the picture.

    Args:
        picture: as `read_image` takes it.
        click: (x, y) within the object, in pixels of the picture.

    Raises:
        InputError: as `object_mask` does.
    """
    import cv2  # here: it comes with an extra

    picture = read_image(picture)
    mask = object_mask(picture, click)
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    x, y = picture.width / mask.shape[1], picture.height / mask.shape[0]
    return left * x, top * y, (left + width) * x, (top + height) * y


def object_mask(
    picture: str | os.PathLike | bytes | PIL.Image.Image, click: tuple[float, float]
) -> Bool[np.ndarray, "height width"]:
    """The pixels of the object at a click, in the picture shrunk to at most 128 pixels a side.

    Of the objects found for all sizes it is the one with the largest

        (mean change of colour along its outline) x (part of the outline that is not cut off by the reach of the guess)
        x (area)^0.2.

    Args:
        picture: as `read_image` takes it.
        click: (x, y) within the object, in pixels of the picture.

    Raises:
        InputError: the picture cannot be read, the click is outside, or nothing there differs from what is around it.
    """
    import cv2  # here: it comes with an extra

    picture = read_image(picture)
    if not all(0 <= at < side for at, side in zip(click, picture.size, strict=True)):
        raise InputError(f"the click is at {click}: expected x, y within the picture of size {picture.size}")
    shrink = max(1.0, max(picture.size) / LONGEST)
    size = tuple(max(1, round(side / shrink)) for side in picture.size)
    pixels = np.asarray(picture.resize(size, PIL.Image.Resampling.BOX, reducing_gap=2.0))
    middle = tuple(int(at * new / old) for at, new, old in zip(click, size, picture.size, strict=True))
    change = _change_of_colour(pixels)
    best, found = 0.0, None
    for radius in (share * min(size) for share in RADII):
        reach = cv2.circle(np.zeros(size[::-1], np.uint8), middle, int(REACH * radius) + 1, 1, -1)
        guess = np.where(reach, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
        cv2.circle(guess, middle, int(radius), cv2.GC_PR_FGD, -1)
        cv2.circle(guess, middle, max(2, int(SURE * radius)), cv2.GC_FGD, -1)
        if not (guess == cv2.GC_BGD).any():
            continue  # with no background at all there is nothing to tell apart
        cv2.setRNGSeed(0)  # the same click, the same box
        cv2.grabCut(pixels, guess, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
        _, parts = cv2.connectedComponents(np.isin(guess, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))
        mask = parts == parts[middle[::-1]]
        outline = _outline(mask)
        contrast = change[outline].mean()
        score = contrast * (1 - _outline(reach)[outline].mean()) * mask.mean() ** 0.2
        if mask.sum() >= SMALLEST and contrast >= FAINTEST and score > best:
            best, found = score, mask
    if found is None:
        place = f"({click[0]:.0f}, {click[1]:.0f})"
        raise InputError(f"nothing at {place} differs from what is around it: expected an object, so draw its box")
    return found


def _change_of_colour(pixels: np.ndarray) -> Float[np.ndarray, "height width"]:
    """Length of the gradient of the smoothed colours, in CIELAB units per pixel."""
    import cv2

    lab = cv2.GaussianBlur(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), (0, 0), 1)
    slopes = [cv2.Sobel(lab, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1))]
    return np.linalg.norm(np.concatenate(slopes, axis=-1), axis=-1)


def _outline(mask: np.ndarray) -> Bool[np.ndarray, "height width"]:
    """The pixels of a mask that have one outside of it, or the picture's edge, beside them."""
    import cv2

    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return (mask > 0) & (inner == 0)
