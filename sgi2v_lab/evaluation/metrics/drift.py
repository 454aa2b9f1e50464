"""Does the background stay where it belongs, or does it follow the object?

Control that drags the background along with an object reaches a good ObjMC and a bad video. These figures show it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.measured import Found, MeasuredVideo, centres, check_later, grid_points
from sgi2v_lab.shapes import Boxes, Points

__all__ = ["background_drift", "background_tracks", "bg_obj_ctd", "camera_motion"]

MARGIN = 1 / 32  # of the picture's shorter side, kept clear around every box
WINDOW = 7  # pixels kept clear at least: half of Lucas-Kanade's window, or background points follow the object's edge
SEEN = 0.02  # share of positions that must be seen; fewer are chance hits
MOVES = 1.0  # pixels that a box must be asked to go to count as moving


def background_drift(given: MeasuredVideo) -> Found:
    """The mean distance in pixels, 0 and more, of background points from where they belong; lower is better.

    Points of a 16 x 16 grid that lie outside every object's box in every frame are followed from the first frame. They
    belong where they were, or where a camera move that was asked for takes them. The first frame does not count, nor do
    positions that the tracker does not see: the figure is worth what `seen` says. Lucas-Kanade, the default tracker,
    cannot follow plain areas.

    InputError: one frame only, no place outside the boxes, or a background in which no point can be followed.
    """
    points, paths, seen = background_tracks(given)
    belongs = points[:, None] if given.camera is None else camera_motion(given.camera, points)
    distance = (paths - belongs).norm(dim=-1)[seen]
    details = {"points": len(points), "seen": seen[:, 1:].float().mean().item(), "camera": given.camera is not None}
    return distance.mean().item(), details | {"tracker": given.grid_tracks.tracker}


def bg_obj_ctd(given: MeasuredVideo) -> Found:
    """BG-Obj CTD of Time-to-Move (arXiv 2511.08633, appendix B.1): background against object; pixels, higher is better.

    With the track o of an object and the tracks p of J points of the background,

        BG-Obj CTD = 1 / (J (F - 1)) * sum_j sum_{f > 1} | (p_jf - p_j1) - (o_f - o_1) |

    It is 0 where the background is glued to the object, and the object's mean distance from its start where the
    background is still. It says nothing where the object does not move: read it next to CTD. Several objects: the mean
    over those that are asked to move.

    Three choices differ from the paper, which takes all points of the 16 x 16 grid, all positions, and a point on the
    object. Points count only outside every object's box in every frame: those on the object would pull the figure down
    by their share. Positions count only where the tracker sees them: Lucas-Kanade leaves a lost point behind, like a
    still background. The object is followed by its box, as for `objmc`.

    InputError: no box is asked to move, a camera move is asked for, or as `background_drift`.
    """
    if given.camera is not None:
        raise InputError("the camera was asked to move, and the background with it; see background drift")
    ways = centres(given.asked) - centres(given.asked)[:, :1]
    moving = ways.norm(dim=-1).amax(dim=1) >= MOVES
    if not moving.any():
        raise InputError("no box is asked to move, so nothing can drag the background along")
    points, paths, seen = background_tracks(given)
    tracks = given.box_tracks
    went = (tracks.points - tracks.points[:, :1])[moving]
    distance = (paths - points[:, None] - went[:, None]).norm(dim=-1)  # (objects, points, frames)
    per_object = torch.stack([one[seen].mean() for one in distance])
    details = {"per_object": per_object.tolist(), "points": len(points), "tracker": given.grid_tracks.tracker}
    return per_object.mean().item(), details | {"object_tracker": tracks.tracker}


def camera_motion(camera: Boxes, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n frames 2"]:
    """Where points (n, 2) of the first frame go under the camera's move, (n, frames, 2).

    The move in each frame is the scale and shift that fits the boxes' corners best.
    """
    corners = camera.unflatten(-1, (2, 2)).transpose(1, 2).flatten(0, 1)  # (2 boxes, frames, 2)
    middle = corners.mean(dim=0)  # (frames, 2)
    away = corners - middle
    scale = (away * away[:, :1]).sum(dim=(0, 2)) / away[:, 0].square().sum()
    return middle + scale[:, None] * (points[:, None] - middle[0])


def background_tracks(given: MeasuredVideo) -> tuple[Float[Tensor, "n 2"], Points, Bool[Tensor, "n frames"]]:
    """Background points, their tracks, and where these are seen after the first frame.

    InputError as `background_drift`.
    """
    check_later(given.video)
    grid, margin = grid_points(given.video), max(WINDOW, MARGIN * min(given.video.shape[-2:]))
    free, boxes = grid[:, 0] >= 0, given.boxes if given.objects is None else given.objects
    if boxes is not None:
        low, high = boxes.flatten(0, 1).split(2, dim=1)
        free = ~((grid[:, None] > low - margin) & (grid[:, None] < high + margin)).all(dim=-1).any(dim=-1)
        if not free.any():
            raise InputError("the boxes cover the whole picture, so there is no background to follow; leave some out")
    tracks = given.grid_tracks
    seen = tracks.visible[free].clone()
    seen[:, 0] = False
    if seen[:, 1:].float().mean() < SEEN:
        what = f"{tracks.tracker} could follow none of {int(free.sum())} background points"
        raise InputError(f"{what}: they are too plain, or nothing of them stays; another tracker may see more")
    return grid[free], tracks.points[free], seen
