"""How far is everything from where it should be? ObjMC, CTD and IoU against boxes, EPE against the true clip."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.measured import Found, MeasuredVideo, centres, check_later, grid_points
from sgi2v_lab.evaluation.trackers.tracks import PointTracker, Tracks
from sgi2v_lab.shapes import Video
from sgi2v_lab.trajectories.boxes import shared_area

__all__ = ["ObjMC", "box_iou", "box_overlap", "ctd", "epe", "objmc"]


@dataclass(frozen=True)
class ObjMC:
    """What `objmc` measured, and what it depends on. Distances are in pixels of the video."""

    value: float
    per_object: Float[Tensor, "boxes"]
    per_frame: Float[Tensor, "frames"]
    tracks: Tracks
    tracker: str
    resolution: tuple[int, int]  # width, height
    frames: int

    @classmethod
    def of(cls, given: MeasuredVideo) -> "ObjMC":
        """ObjMC of a video whose tracks other metrics share."""
        tracks = given.box_tracks
        if not tracks.points.isfinite().all():
            raise InputError(f"{tracks.tracker} gives tracks of NaN or infinite numbers; try another tracker")
        distance = (tracks.points - centres(given.asked)).norm(dim=-1)
        means = distance.mean().item(), distance.mean(dim=1), distance.mean(dim=0)
        return cls(*means, tracks, tracks.tracker, given.size, len(given.video))


def objmc(video: Video, boxes: Float[Tensor, "boxes steps 4"], tracker: str | PointTracker | None = None) -> ObjMC:
    """ObjMC, object motion control (Wang et al. 2024, MotionCtrl, section 4; SG-I2V, section 4.1); lower is better.

    The mean over objects and frames of the Euclidean distance between the centre of the box asked for and the place
    where a tracker, started at that centre in the first frame, finds the object, in pixels of the video, 0 and more:

        ObjMC = 1 / (N F) * sum_k sum_f | centre_kf - track_kf |

    All frames count, also the first one, whose distance is 0 by construction. Where the tracker loses an object, its
    last known position counts. The tracker follows what is in the box (`track_boxes`); published figures follow the
    single point in its middle with CoTracker, which is (F - 1) / F times `ctd` with `tracker="cotracker3"`. ObjMC
    depends on tracker, resolution, number of frames and trajectories, so figures of different papers do not compare;
    the result names the first three.

    Args:
        video: The generated video (frames, 3, h, w) in 0..1.
        boxes: The boxes asked for (boxes, frames, 4), in pixels of the video, as many frames as it has.
        tracker: A name in `trackers.track.TRACKERS`, or a `PointTracker`; None for the default.

    Raises:
        InputError: A video or boxes of another shape, or with NaN; one frame only; no box, boxes for another number of
            frames or outside the first one; an unknown tracker, or one whose tracks have NaN.
    """
    for name, given, axes, last in (("video", video, 4, None), ("boxes", boxes, 3, 4)):
        if not isinstance(given, Tensor) or given.ndim != axes or (last and given.shape[-1] != last):
            shape = tuple(getattr(given, "shape", ()))
            raise InputError(
                f"the {name} given are a {type(given).__name__} {shape}: expected tensors, a video (frames, 3, height, "
                "width) in 0..1 and boxes (boxes, frames, 4)"
            )
    check_later(video)
    if not boxes.isfinite().all():
        raise InputError("the boxes hold NaN or infinite numbers: expected pixels")
    return ObjMC.of(MeasuredVideo(video, boxes=boxes, tracker=tracker))


def ctd(given: MeasuredVideo) -> Found:
    """CTD, the CoTracker distance of MC-Bench (MotionPro, arXiv 2505.20287, there MD-Vid); pixels, lower is better.

    The mean over objects and later frames of the distance between the path asked for and the track of the single point
    in the middle of the first box:

        CTD = 1 / (N (F - 1)) * sum_k sum_{f > 1} | centre_kf - track_kf |

    Time-to-Move (arXiv 2511.08633, appendix B.1) named it. `objmc` differs in two things: it follows what is in the
    box, and the first frame counts. So on equal tracks CTD = F / (F - 1) ObjMC. As in MotionPro's released script, the
    tracker's guess of a hidden point counts. That script gives CoTracker 8 x 8 points around the start, evaluates one
    in their middle, and lets the user choose the frames; here the point is alone, and all later frames count. Only
    `tracker="cotracker3"` compares with published values. InputError: no box, one frame only, or a centre outside the
    first frame.
    """
    check_later(given.video)
    tracks = given.centre_tracks
    distance = (tracks.points - centres(given.asked)).norm(dim=-1)[:, 1:]
    seen = tracks.visible[:, 1:].float().mean().item()
    details = {"per_object": distance.mean(dim=1).tolist(), "visible": seen, "tracker": tracks.tracker}
    return distance.mean().item(), details


def epe(given: MeasuredVideo) -> Found:
    """EPE, the end-point error against the tracks of the true clip, as in Wan-Move (arXiv 2512.08765); pixels.

    The mean L2 distance between the places of a point in the generated and in the true clip, over later frames in which
    the tracker sees it in the true clip; lower is better. The same tracker follows both; a point that it loses in the
    generated clip counts where it was last. The points are those of a 16 x 16 grid that lie in the boxes asked for in
    the first frame, or all where no boxes are known (MoveBench annotates points and tracks them with CoTracker).
    InputError: one frame only, or no point of the grid in a box that is seen later.
    """
    check_later(given.video)
    points, made, true = grid_points(given.video), given.grid_tracks, given.reference_tracks
    mine = points[:, 0] >= 0
    if given.boxes is not None:
        low, high = given.asked[:, 0].split(2, dim=1)
        mine = ((points[:, None] > low) & (points[:, None] < high)).all(dim=-1).any(dim=-1)
    there = true.visible[mine, 1:]
    if not there.any():
        what = f"{true.tracker} follows none of the {len(there)} grid points in the boxes through the true clip"
        raise InputError(f"{what}; try another tracker or larger boxes")
    distance = (made.points - true.points).norm(dim=-1)[mine, 1:][there]
    seen = made.visible[mine, 1:][there].float().mean().item()
    details = {"points": len(there), "seen": seen, "tracker": made.tracker}
    return distance.mean().item(), details


def box_overlap(given: MeasuredVideo) -> Found:
    """Mean intersection over union of tracked and asked boxes, over objects and frames, 0..1; higher is better.

    The overlap of visual object tracking (Wu et al. 2013, "Online object tracking: a benchmark"). The tracked box is
    the first one, moved and scaled as the tracker finds it. A tracker that follows no size ("ncc", the default) takes
    the size asked for, so that only the place counts: `size_tracked` says which. All frames count, also the first one,
    which has 1. There is no mask IoU: finding the object's mask in a generated video takes a segmenter, and a mask that
    is carried along by the tracked box says no more than the box.

    InputError: there is no box, or one lies outside the first frame.
    """
    boxes, tracks = given.asked, given.box_tracks
    sizes = boxes[..., 2:] - boxes[..., :2]
    if tracks.scales is not None:
        sizes = sizes[:, :1] * tracks.scales[..., None]
    overlap = box_iou(torch.cat([tracks.points - sizes / 2, tracks.points + sizes / 2], dim=-1), boxes)
    details = {"per_object": overlap.mean(dim=1).tolist(), "per_frame": overlap.mean(dim=0).tolist()}
    return overlap.mean().item(), details | {"tracker": tracks.tracker, "size_tracked": tracks.scales is not None}


def box_iou(a: Float[Tensor, "*n 4"], b: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Intersection over union of boxes x0, y0, x1, y1, pair by pair; 0 where they do not touch."""
    common = shared_area(a, b)
    areas = [(box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (a, b)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-12)
