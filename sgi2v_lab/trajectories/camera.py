"""Camera moves, as sets of boxes on the background.

A box on the background moves what is seen there, and what is seen of a still world moves as the camera does. So boxes
spread over the picture that all move alike are a pan, boxes that spread apart are a zoom, and pinned ones hold the
camera still. Every move here says how the *content* moves on the screen: content that goes right is a camera that
turns left.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import check_size
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.geometry import Box, Number, Numbers, numbers, positive
from sgi2v_lab.trajectories.trajectory import Trajectory

__all__ = ["CAMERA_MOVES", "camera_pan", "camera_still", "camera_zoom", "is_camera", "with_camera"]

COLOUR = "#8c8c8c"
MOMENTS = [i / 24 for i in range(25)]  # times at which a camera box must keep clear of the objects


def is_camera(trajectory: Trajectory) -> bool:
    """Whether it is one of the boxes that the moves of this module are made of, by its name and colour."""
    return trajectory.colour == COLOUR and re.fullmatch(r"(pan|zoom|still) \d+", trajectory.name) is not None


def camera_pan(
    image_size: tuple[int, int],
    by: Numbers,
    *,
    grid: tuple[int, int] = (3, 3),
    box_fraction: Number = 0.2,
    avoid: Iterable[Trajectory | Numbers] = (),
    easing: str = "linear",
) -> tuple[Trajectory, ...]:
    """Move all of the background sideways.

    Args:
        image_size: (width, height) of the picture in pixels.
        by: (dx, dy) in pixels: how far the content moves on the screen until the last frame. (100, 0) moves it to the
            right, as when the camera turns left.
        grid: (columns, rows) of boxes, spread evenly.
        box_fraction: width and height of a box as fractions of the picture's. Boxes start wholly inside the picture.
        avoid: trajectories, or boxes that stay. A camera box that would touch one at any time is left out.
        easing: one of `sgi2v_lab.trajectories.geometry.EASINGS`.

    Returns:
        Up to columns * rows trajectories, to be added to those of the objects.

    Raises:
        InputError: if a number is out of range, or every camera box would touch something to avoid.
    """
    by = numbers(by, 2, "the pan by=")
    moves = [Trajectory.move(box, by=by, easing=easing) for box in _grid(image_size, grid, box_fraction)]
    return _clear_of(avoid, moves, "pan")


def camera_zoom(
    image_size: tuple[int, int],
    factor: Number,
    *,
    grid: tuple[int, int] = (3, 3),
    box_fraction: Number = 0.2,
    avoid: Iterable[Trajectory | Numbers] = (),
    easing: str = "linear",
) -> tuple[Trajectory, ...]:
    """Enlarge or shrink all of the background about the picture's middle.

    Boxes move away from the middle and grow by the same factor, as the content in them does. `factor` is the size of
    the content in the last frame relative to the first: 1.5 zooms in, 0.7 zooms out. All else is as in `camera_pan`.
    """
    factor = positive(factor, "the zoom factor")
    middle = [side / 2 for side in check_size(image_size, "the picture's size")] * 2
    moves = [
        Trajectory.move(box, to=[m + factor * (c - m) for m, c in zip(middle, box, strict=True)], easing=easing)
        for box in _grid(image_size, grid, box_fraction)
    ]
    return _clear_of(avoid, moves, "zoom")


def camera_still(
    image_size: tuple[int, int],
    *,
    grid: tuple[int, int] = (3, 3),
    box_fraction: Number = 0.2,
    avoid: Iterable[Trajectory | Numbers] = (),
) -> tuple[Trajectory, ...]:
    """Hold the camera still: pinned boxes, with the arguments of `camera_pan`."""
    return _clear_of(avoid, [Trajectory.pin(box) for box in _grid(image_size, grid, box_fraction)], "still")


# as menus offer them: how the content moves on the screen, for a picture of (width, height) and an amount 0..1 of it
CAMERA_MOVES: dict[str, Callable[..., tuple[Trajectory, ...]]] = {
    "still": lambda size, amount, **others: camera_still(size, **others),
    "pan left": lambda size, amount, **others: camera_pan(size, (-amount * size[0], 0), **others),
    "pan right": lambda size, amount, **others: camera_pan(size, (amount * size[0], 0), **others),
    "pan up": lambda size, amount, **others: camera_pan(size, (0, -amount * size[1]), **others),
    "pan down": lambda size, amount, **others: camera_pan(size, (0, amount * size[1]), **others),
    "zoom in": lambda size, amount, **others: camera_zoom(size, 1 + amount, **others),
    "zoom out": lambda size, amount, **others: camera_zoom(size, 1 / (1 + amount), **others),
}


def with_camera(trajectories: Trajectories, move: str, amount: float | int = 0.2) -> Trajectories:
    """The objects as they are, with the boxes of a camera move that keep clear of them.

    Args:
        trajectories: objects, and perhaps the boxes of another camera move, which go.
        move: one of `CAMERA_MOVES`, or "none" for no camera boxes. It says how the content moves on the screen.
        amount: 0..1 of the picture's side to pan by; a zoom enlarges, or shrinks, by 1 + amount.

    Raises:
        InputError: for another move or amount, or if the objects leave no free background.
    """
    objects = tuple(each for each in trajectories if not is_camera(each))
    if move == "none":
        return replace(trajectories, trajectories=objects)
    if move not in CAMERA_MOVES:
        raise InputError(f"unknown camera move {move!r}: expected one of none, {', '.join(CAMERA_MOVES)}")
    if not 0 < amount <= 1:
        raise InputError(f"the camera's amount is {amount}: expected more than 0 and at most 1 of the picture")
    boxes = CAMERA_MOVES[move](trajectories.image_size, amount, avoid=objects)
    return replace(trajectories, trajectories=objects + boxes)


def _grid(image_size: tuple[int, int], grid: tuple[int, int], box_fraction: Number) -> list[Box]:
    size = check_size(image_size, "the picture's size")
    columns, rows = check_size(grid, "the grid of camera boxes, (columns, rows),")
    if not 0 < box_fraction <= 1:
        raise InputError(f"box_fraction is {box_fraction}: expected more than 0 and at most 1 of the picture's side")
    axes = []
    for count, side in zip((columns, rows), size, strict=True):
        length = box_fraction * side
        # evenly spread, but shifted to lie within the picture
        starts = [min(max(0.0, (i + 0.5) / count * side - length / 2), side - length) for i in range(count)]
        axes.append([(start, min(float(side), start + length)) for start in starts])
    return [(x0, y0, x1, y1) for y0, y1 in axes[1] for x0, x1 in axes[0]]


def _clear_of(avoid: Iterable[Trajectory | Numbers], moves: list[Trajectory], name: str) -> tuple[Trajectory, ...]:
    objects = [each if isinstance(each, Trajectory) else Trajectory.pin(each) for each in avoid]
    taken = [each.at(MOMENTS) for each in objects]
    clear = [move for move in moves if not any(_touch(move.at(MOMENTS), boxes) for boxes in taken)]
    if not clear:
        raise InputError(
            f"no camera box keeps clear of the {len(taken)} boxes to avoid: expected some free background, so use a "
            "smaller box_fraction, a finer grid or a smaller move"
        )
    return tuple(
        Trajectory(move.keys, name=f"{name} {index + 1}", easing=move.easing, colour=COLOUR)
        for index, move in enumerate(clear)
    )


def _touch(one: Float[Tensor, "times 4"], other: Float[Tensor, "times 4"]) -> bool:
    overlap = torch.minimum(one[:, 2:], other[:, 2:]) > torch.maximum(one[:, :2], other[:, :2])
    return bool(overlap.all(dim=-1).any())
