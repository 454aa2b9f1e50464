"""Background drift: how far has moved what should have stayed?

Control that drags the background along with an object reaches a good ObjMC and a bad video; this figure shows it. The
idea is that of Time-to-Move (arXiv 2511.08633), which measures how the background follows the object.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.trajectory_error import check_boxes
from sgi2v_lab.evaluation.trackers.track import PointTracker, get_tracker
from sgi2v_lab.shapes import Boxes, Video

__all__ = ["Drift", "background_drift", "background_points", "camera_motion"]

PER_SIDE = 16  # points along each side of the picture
MARGIN = 1 / 32  # of the picture's shorter side, kept clear around every box


@dataclass(frozen=True)
class Drift:
    """What `background_drift` measured, in pixels of the video; `seen` is the share of positions that counted."""

    value: float
    median: float
    p95: float
    points: int
    seen: float
    camera: bool
    tracker: str

    def as_dict(self) -> dict[str, object]:
        """Plain numbers for JSON."""
        return vars(self).copy()


def background_drift(
    video: Video,
    boxes: Float[Tensor, "boxes steps 4"] | None = None,
    camera: Float[Tensor, "others steps 4"] | None = None,
    tracker: str | PointTracker = "lk",
) -> Drift:
    """The mean distance in pixels, 0 and more, of background points from where they belong; lower is better.

    Points of an even grid that lie outside every object's box in every frame are followed from the first frame. They
    belong where they were; or, where a camera move was asked for, where it takes them. Nothing else is compensated: a
    camera that moves without being asked counts as drift. The first frame does not count.

    Only positions that the tracker reports as seen count, so points that something passes over do not; a video whose
    background falls apart loses most of its points, and the figure is worth what `seen` says. Plain areas cannot be
    followed by "lk" and have no say.

    Args:
        video: (frames, 3, h, w) in 0..1.
        boxes: of the objects (boxes, frames, 4) as asked for, in pixels of the video; None, or no box, without any.
        camera: boxes on the background that were asked to move as the camera does (`trajectories.camera`); None for a
            camera that stays.
        tracker: a name in `trackers.track.TRACKERS`, or a `PointTracker`.

    Raises:
        InputError: boxes for another number of frames, a single frame, no place outside the boxes, or a background
            in which no point can be followed.
    """
    height, width = video.shape[-2:]
    points = background_points(video, boxes)
    if len(video) < 2:
        raise InputError("the video has one frame, in which nothing drifts; give at least two")
    belongs = points[:, None].expand(-1, len(video), -1)
    if camera is not None:
        belongs = camera_motion(check_boxes(video, camera, "the camera's move"), points)
    tracks = get_tracker(tracker)(video, points)
    distance = (tracks.points - belongs).norm(dim=-1)[:, 1:][tracks.visible[:, 1:]]
    if len(distance) == 0:
        raise InputError(
            f"{tracks.tracker} could follow none of {len(points)} background points in this {width}x{height} video: "
            "it is too plain, or nothing of it stays; another tracker may see more"
        )
    return Drift(
        value=distance.mean().item(),
        median=distance.median().item(),
        p95=distance.quantile(0.95).item(),
        points=len(points),
        seen=tracks.visible[:, 1:].float().mean().item(),
        camera=camera is not None,
        tracker=tracks.tracker,
    )


def camera_motion(camera: Boxes, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n frames 2"]:
    """Where points (n, 2) of the first frame go under the camera's move, (n, frames, 2).

    The move in each frame is the scale and shift that takes the boxes' corners there, by least squares: pans and zooms
    are met exactly.
    """
    corners = camera.unflatten(-1, (2, 2)).transpose(1, 2).flatten(0, 1)  # (2 boxes, frames, 2)
    middle = corners.mean(dim=0)  # (frames, 2)
    away = corners - middle
    scale = (away * away[:, :1]).sum(dim=(0, 2)) / away[:, 0].square().sum()
    return middle + scale[:, None] * (points[:, None] - middle[0])


def background_points(video: Video, boxes: Float[Tensor, "boxes steps 4"] | None) -> Float[Tensor, "n 2"]:
    """Points (n, 2) of an even grid that lie outside every box in every frame; InputError where there is none."""
    height, width = video.shape[-2:]
    axis = (torch.arange(PER_SIDE) + 0.5) / PER_SIDE
    grid = torch.stack(torch.meshgrid(axis * width, axis * height, indexing="xy"), dim=-1).flatten(0, 1)
    if boxes is None or len(boxes) == 0:
        return grid
    margin = MARGIN * min(height, width)
    low, high = check_boxes(video, boxes, "the background's drift").flatten(0, 1).split(2, dim=1)
    covered = ((grid[:, None] > low - margin) & (grid[:, None] < high + margin)).all(dim=-1).any(dim=-1)
    if covered.all():
        raise InputError("the boxes cover the whole picture, so there is no background to follow; leave some out")
    return grid[~covered]
