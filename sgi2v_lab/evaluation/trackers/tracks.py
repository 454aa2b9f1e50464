"""The interface of point trackers: what they take and what they return."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.shapes import Points, Video

__all__ = ["PointTracker", "Tracks", "unit_grid"]


@dataclass(frozen=True)
class Tracks:
    """Paths of points, or of the centres of boxes, with the tracker's name.

    `points` (points, frames, 2) are in pixels. Where a point is not `visible` (points, frames), its position is the
    last known one, or the tracker's own guess where it makes one (CoTracker). `scales` (boxes, frames) are sizes
    relative to the first frame's; None where they were not tracked.
    """

    points: Points
    visible: Bool[Tensor, "boxes frames"]
    tracker: str
    scales: Float[Tensor, "boxes frames"] | None = None


@runtime_checkable
class PointTracker(Protocol):
    """Follows points (n, 2), given in pixels (x, y) of the first frame, through a video."""

    def __call__(self, video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
        """Return one path per point."""
        ...


def unit_grid(per_side: int) -> Float[Tensor, "n 2"]:
    """Points (per_side^2, 2), each (x, y), evenly over the unit square, half a step from its edges."""
    axis = (torch.arange(per_side) + 0.5) / per_side
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
