"""ObjMC: how far things are from where they were asked to be."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.track import PointTracker, Tracks, get_tracker, track_boxes
from sgi2v_lab.shapes import Boxes, Video

__all__ = ["ObjMC", "check_boxes", "objmc"]

FOLLOWED = ("box", "center")


@dataclass(frozen=True)
class ObjMC:
    """What `objmc` measured. Distances are in pixels of the video."""

    value: float
    per_object: Float[Tensor, "boxes"]
    per_frame: Float[Tensor, "frames"]
    tracks: Tracks
    tracker: str
    resolution: tuple[int, int]  # width, height
    frames: int
    follow: str = "box"

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and lists for JSON, with what the figure depends on."""
        return {
            "objmc": self.value,
            "per_object": self.per_object.tolist(),
            "per_frame": self.per_frame.tolist(),
            "visible": self.tracks.visible.float().mean().item(),
            "tracks": self.tracks.points.tolist(),
            "tracker": self.tracker,
            "follow": self.follow,
            "resolution": list(self.resolution),
            "frames": self.frames,
        }


def objmc(
    video: Video,
    boxes: Float[Tensor, "boxes steps 4"],
    tracker: str | PointTracker | None = None,
    follow: str = "box",
) -> ObjMC:
    """ObjMC, object motion control (Wang et al. 2024, MotionCtrl, section 4; SG-I2V, section 4.1); lower is better.

    The mean over objects and frames of the Euclidean distance between the centre of the box asked for and the place
    where a tracker, started at that centre in the first frame, finds the object, in pixels of the video, 0 and more:

        ObjMC = 1 / (N F) * sum_k sum_f | centre_kf - track_kf |

    All frames count, the first one too (its distance is zero by construction). Where the tracker loses an object, its
    last known position counts. The figure depends on the tracker, on the video's resolution, on the number of frames
    and on the trajectories, so figures of different papers are not comparable; the result carries the first three.

    Args:
        video: The generated video (frames, 3, h, w) in 0..1.
        boxes: The boxes asked for (boxes, frames, 4), in pixels of the video, as many frames as it has.
        tracker: A name in `trackers.track.TRACKERS`, or a `PointTracker`; None for the default.
        follow: "box" follows what is in the box (`track_boxes`); "center" the single point in its middle, as published
            figures do with CoTracker: with it, `tracker="cotracker3"` is the paper's ObjMC.

    Raises:
        InputError: There is no box, the boxes are for another number of frames, a box lies outside the first frame,
            or the tracker, or `follow`, is unknown.
    """
    if follow not in FOLLOWED:
        raise InputError(f"follow is {follow!r}; expected one of {', '.join(FOLLOWED)}")
    boxes = check_boxes(video, boxes, "ObjMC")
    asked = (boxes[..., :2] + boxes[..., 2:]) / 2
    if follow == "box":
        tracks = track_boxes(video, boxes[:, 0], tracker)
    else:
        inside = (asked[:, 0] >= 0) & (asked[:, 0] < torch.tensor([video.shape[-1], video.shape[-2]]))
        if not inside.all():
            raise InputError(
                f"box {int((~inside).any(dim=1).nonzero()[0])} has its centre outside the first frame, where no point "
                'can be followed; move it, or take follow="box"'
            )
        tracks = get_tracker(tracker)(video, asked[:, 0])
    distance = (tracks.points - asked).norm(dim=-1)
    return ObjMC(
        value=distance.mean().item(),
        per_object=distance.mean(dim=1),
        per_frame=distance.mean(dim=0),
        tracks=tracks,
        tracker=tracks.tracker,
        resolution=(video.shape[-1], video.shape[-2]),
        frames=len(video),
        follow=follow,
    )


def check_boxes(video: Video, boxes: Float[Tensor, "boxes steps 4"], name: str) -> Boxes:
    """The boxes as floats on the CPU; InputError where there is none, or not one for each frame of the video."""
    if len(boxes) == 0:
        raise InputError(f"{name} needs at least one box, got none; give boxes of shape (boxes, frames, 4)")
    if boxes.shape[1] != len(video):
        raise InputError(
            f"the boxes are for {boxes.shape[1]} frames but the video has {len(video)}; give one per frame"
        )
    return boxes.detach().float().cpu()
