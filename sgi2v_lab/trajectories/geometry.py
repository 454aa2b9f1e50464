"""The geometry under a trajectory: how time becomes progress, and progress a place on a drawn line.

Coordinates are pixels, (x, y), y down. Everything here is computed in double precision, so that rounding cannot move a
box across the border of a latent cell.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from sgi2v_lab.errors import InputError

__all__ = [
    "EASINGS",
    "FARTHEST",
    "Box",
    "Number",
    "Numbers",
    "Point",
    "centre_of",
    "check_easing",
    "numbers",
    "positive",
    "read_box",
    "walk",
    "written",
]

Number = float | int  # type checkers that are strict at run time do not take 2 for a float
Point = tuple[Number, Number]
Box = tuple[Number, Number, Number, Number]
Numbers = Sequence[Number] | np.ndarray | Tensor  # what a user may write for a point or a box

FARTHEST = 1e6  # pixels; a coordinate beyond this is a mistake in the file, not a place outside the picture

EASINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda t: t,
    "ease-in": lambda t: t**2,
    "ease-out": lambda t: 1 - (1 - t) ** 2,
    "ease-in-out": lambda t: 3 * t**2 - 2 * t**3,
}
"""Progress as a function of time, both 0..1. All rise monotonically from exactly 0 to exactly 1."""


def check_easing(name: str) -> None:
    """Raise InputError unless `name` is one of `EASINGS`."""
    if name not in EASINGS:
        raise InputError(f"unknown easing {name!r}: expected one of {', '.join(EASINGS)}")


def numbers(values: object, count: int, what: str) -> tuple[float, ...]:
    """Read `count` finite numbers of at most a million pixels as floats.

    Raises:
        InputError: naming `what`, if there are more or fewer, or one is not a number, not finite or absurdly large.
    """
    try:
        listed = values.tolist() if isinstance(values, np.ndarray | Tensor) else list(values)
        # True is 1 to Python and "3" is 3.0 to float(); in a box both are mistakes
        if any(isinstance(value, bool | str) for value in listed):
            raise TypeError
        floats = tuple(float(value) for value in listed)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{what} is {values!r:.80}: expected {count} numbers in pixels") from None
    if len(floats) != count:
        raise InputError(f"{what} has {len(floats)} numbers: expected {count}, in pixels")
    if not all(math.isfinite(value) for value in floats):
        raise InputError(f"{what} is {list(floats)}: expected finite numbers, so remove the NaN or infinity")
    if any(abs(value) > FARTHEST for value in floats):
        raise InputError(f"{what} is {list(floats)}: expected pixels, which lie within +-{FARTHEST:.0f} of the corner")
    return floats


def positive(value: object, what: str) -> float:
    """Read a positive number, a factor of sizes, as a float; raise InputError, naming `what`, if it is none."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(f"{what} is {value!r:.80}: expected a positive number, 1 for the same size")
    return number


def walk(points: Sequence[Point], progress: np.ndarray) -> np.ndarray:
    """Places on a polyline at fractions of its length.

    Args:
        points: at least two corners (x, y) of the line. Corners may repeat; a line of no length stays at its one place.
        progress: (n,) fractions 0..1 of the arc length, so that even progress is even speed.

    Returns:
        (n, 2) places, the first corner at 0 and the last at 1.
    """
    corners = np.asarray(points, dtype=np.float64)
    length = np.concatenate([[0.0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
    return np.stack([np.interp(progress * length[-1], length, axis) for axis in corners.T], axis=-1)


def read_box(values: object, what: str = "a box") -> Box:
    """Read x0, y0, x1, y1 in pixels; raise InputError, naming `what`, unless x0 < x1 and y0 < y1."""
    x0, y0, x1, y1 = box = numbers(values, 4, what)
    if x1 <= x0 or y1 <= y0:
        raise InputError(f"{what} is {written(box)}: expected x0 < x1 and y0 < y1, so draw it larger or swap corners")
    return box


def centre_of(box: Box) -> Point:
    """The middle (x, y) of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def written(values: Sequence[float]) -> str:
    """Numbers as they appear in messages, as in (10, 20.5, 30, 40)."""
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
