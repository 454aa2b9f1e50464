"""Boxes for clips that come without any: what a point tracker sees moving."""

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.tracks import PointTracker, unit_grid
from sgi2v_lab.shapes import Boxes, Video

__all__ = ["moving_boxes"]

PER_SIDE = 24  # points followed along each side of the picture
SIDE = 0.25  # of the boxes, in shorter sides of the picture
LEAST = 0.05  # how far a thing must go to count as moving, in shorter sides of the picture
AGREE = 0.5  # least part of a box's points that must move together


def moving_boxes(clip: Video, tracker: PointTracker, most: int) -> Boxes:
    """At most `most` squares on what moves most, and where they go, (boxes, frames, 4) in pixels, the best first.

    A grid of points is followed; their median is the motion of the background. Each point that moves against it is the
    centre of a square, which goes where its moving points go: their median shift, frame by frame. Its score is how far
    that is from the background's motion, times the part of its points that agree, at least half. The squares with the
    best scores are taken, without overlap. Where nothing moves against the background, the motion of the picture itself
    counts, as under a moving camera. InputError: the tracker loses all points, or nothing moves in the clip.
    """
    height, width = clip.shape[-2:]
    side, least = SIDE * min(height, width), LEAST * min(height, width)
    size = torch.tensor([width, height])
    grid = unit_grid(PER_SIDE) * size
    tracks = tracker(clip, grid)
    kept = tracks.visible.all(dim=1)
    if not kept.any():
        wanted = "some to be followed, so choose fewer frames, a smaller stride or another tracker"
        raise InputError(f"the tracker lost all {len(grid)} points before the end: expected {wanted}")
    shifts = tracks.points - tracks.points[:, :1]
    background = shifts[kept].median(dim=0).values
    fits = ((grid >= side / 2) & (grid <= size - side / 2)).all(dim=1)  # the square lies wholly in the picture
    for relative in (shifts - background, shifts):
        moves = kept & (_farthest(relative) >= least)
        scored = []
        for center in grid[moves & fits]:
            within = ((grid - center).abs() <= side / 2).all(dim=1)
            mine = within & moves
            path = shifts[mine].median(dim=0).values
            agree = (_farthest(shifts[mine] - path) < max(least, 1.0)).sum() / within.sum()
            if agree >= AGREE:
                scored.append(((_farthest(relative[mine].median(dim=0).values) * agree).item(), center, path))
        taken: list[tuple[Tensor, Tensor]] = []
        for _, center, path in sorted(scored, key=lambda each: -each[0]):
            if len(taken) < most and all((center - other).abs().amax() >= side for other, _ in taken):
                taken.append((center, path))
        if taken:
            return torch.stack([torch.cat([c - side / 2 + path, c + side / 2 + path], dim=1) for c, path in taken])
    raise InputError(f"nothing moves by {least:.1f} pixels or more in the clip: expected motion, so leave it out")


def _farthest(shifts: Float[Tensor, "*n frames 2"]) -> Float[Tensor, "*n"]:
    return shifts.norm(dim=-1).amax(dim=-1)
