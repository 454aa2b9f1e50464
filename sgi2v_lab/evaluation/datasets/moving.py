"""Boxes for clips that come without any: what a point tracker sees moving."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.track import PointTracker
from sgi2v_lab.shapes import Video

__all__ = ["Moving", "follow", "moving_boxes"]

PER_SIDE = 24  # points followed along each side of the picture
SIDE, LEAST = 0.25, 0.05  # of a square, and how far something must go to count as moving; in shorter sides
AGREE = 0.5  # least part of a square's points that must move together


def follow(
    tracker: PointTracker, clip: Video, points: Float[Tensor, "n 2"]
) -> tuple[Float[Tensor, "n frames 2"], Bool[Tensor, "n frames"]]:
    """Where a tracker finds points (n, 2) in each frame, and whether it sees them there.

    Raises:
        InputError: the tracker gave back something of another shape, or NaN.
    """
    found = tracker(clip, points)
    paths, visible = found.points.detach().float().cpu(), found.visible.detach().bool().cpu()
    shape = (len(points), len(clip))
    if tuple(paths.shape) != (*shape, 2) or tuple(visible.shape) != shape or not paths.isfinite().all():
        raise InputError(
            f"the tracker gave paths of shape {tuple(paths.shape)} and visibility of shape {tuple(visible.shape)}: "
            f"expected finite ({len(points)}, {len(clip)}, 2) and ({len(points)}, {len(clip)}), a path for each point"
        )
    return paths, visible


@dataclass(frozen=True)
class Moving:
    """Boxes that follow what moves.

    Attributes:
        boxes: (boxes, frames, 4) in pixels; squares that keep their size, the one that moves most first.
        against: "background" where they move against it, "picture" where all moves together, as under a pan.
    """

    boxes: Float[Tensor, "boxes frames 4"]
    against: str


def moving_boxes(clip: Video, tracker: PointTracker, most: int = 3) -> Moving:
    """Squares on what moves most, and where they go.

    A grid of points is followed. The background is the median shift of all points. In each of many squares, the median
    shift of the points that move against the background says where the square goes. Its score is how far that is from
    the background, times the part of its points that agree, at least half. The best squares are taken, without overlap.
    Where nothing moves against the background, the camera moves, and the motion of the picture is taken.

    Args:
        clip: (frames, 3, height, width).
        tracker: a point tracker.
        most: at most so many boxes, at least 1.

    Raises:
        InputError: no box asked for, a tracker that gives back something else, or a clip in which nothing moves.
    """
    if most < 1:
        raise InputError(f"most is {most}: expected at least 1 box")
    height, width = clip.shape[-2:]
    shorter = min(height, width)
    axis = (torch.arange(PER_SIDE) + 0.5) / PER_SIDE
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1) * torch.tensor([width, height])
    paths, visible = follow(tracker, clip, grid)
    kept = visible.all(dim=1)
    if not kept.any():
        raise InputError(
            f"the tracker lost all {len(grid)} points before the end: expected some to be followed, so ask for fewer "
            "frames, a smaller stride or another tracker"
        )
    shifts = paths - paths[:, :1]
    background = shifts[kept].median(dim=0).values
    for against, relative in (("background", shifts - background), ("picture", shifts)):
        moves = kept & (relative.norm(dim=-1).amax(dim=1) >= LEAST * shorter)
        boxes = _best_squares(grid, shifts, relative, moves, (width, height), SIDE * shorter, LEAST * shorter, most)
        if boxes:
            return Moving(torch.stack(boxes), against)
    raise InputError(
        f"nothing moves by {LEAST * shorter:.1f} pixels or more in the clip: expected motion, so leave it out"
    )


def _best_squares(
    grid: Tensor,
    shifts: Tensor,
    relative: Tensor,
    moves: Tensor,
    size: tuple[int, int],
    side: float,
    least: float,
    most: int,
) -> list[Tensor]:
    limits = torch.tensor(size) - side / 2
    scored = []
    for center in grid[moves]:
        if (center < side / 2).any() or (center > limits).any():
            continue  # squares lie wholly in the picture
        within = ((grid - center).abs() <= side / 2).all(dim=1)
        mine = within & moves
        path = shifts[mine].median(dim=0).values
        together = ((shifts[mine] - path).norm(dim=-1).amax(dim=1) < max(least, 1.0)).sum() / within.sum()
        if together >= AGREE:
            far = relative[mine].median(dim=0).values.norm(dim=-1).amax()
            scored.append(((far * together).item(), center, path))
    taken: list[Tensor] = []
    boxes = []
    for _, center, path in sorted(scored, key=lambda each: -each[0]):
        if len(boxes) < most and all((center - other).abs().amax() >= side for other in taken):
            taken.append(center)
            boxes.append(torch.cat([center - side / 2 + path, center + side / 2 + path], dim=-1))
    return boxes
