"""Figures for a generated video: did things go where they were asked to, and is the picture still the picture?"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tracking import PointTracker, Tracks, track_boxes
from sgi2v_lab.shapes import Video

__all__ = ["ObjMC", "first_frame_psnr", "objmc", "psnr"]


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

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and lists for JSON, with what the figure depends on."""
        return {
            "objmc": self.value,
            "per_object": self.per_object.tolist(),
            "per_frame": self.per_frame.tolist(),
            "visible": self.tracks.visible.float().mean().item(),
            "tracks": self.tracks.points.tolist(),
            "tracker": self.tracker,
            "resolution": list(self.resolution),
            "frames": self.frames,
        }


def objmc(video: Video, boxes: Float[Tensor, "boxes steps 4"], tracker: str | PointTracker | None = None) -> ObjMC:
    """ObjMC, object motion control (Wang et al. 2024, MotionCtrl, section 4; SG-I2V, section 4.1); lower is better.

    The mean over objects and frames of the Euclidean distance between the centre of the box asked for and the place
    where a tracker, started at that centre in the first frame, finds the object:

        ObjMC = 1 / (N F) * sum_k sum_f | centre_kf - track_kf |

    All frames count, the first one too (its distance is zero by construction). Where the tracker loses an object, its
    last known position counts. The figure depends on the tracker, on the video's resolution, on the number of frames
    and on the trajectories, so figures of different papers are not comparable; the result carries the first three.

    Args:
        video: The generated video (frames, 3, h, w) in 0..1.
        boxes: The boxes asked for (boxes, frames, 4), in pixels of the video, as many frames as it has.
        tracker: A name in `tracking.TRACKERS`, or a `PointTracker`; None for the default.

    Raises:
        InputError: There is no box, the boxes are for another number of frames, a box lies outside the first frame,
            or the tracker is unknown.
    """
    if len(boxes) == 0:
        raise InputError("ObjMC needs at least one box, got none; give boxes of shape (boxes, frames, 4)")
    if boxes.shape[1] != len(video):
        raise InputError(
            f"the boxes are for {boxes.shape[1]} frames but the video has {len(video)}; give one per frame"
        )
    boxes = boxes.detach().float().cpu()
    tracks = track_boxes(video, boxes[:, 0], tracker)
    asked = (boxes[..., :2] + boxes[..., 2:]) / 2
    distance = (tracks.points - asked).norm(dim=-1)
    return ObjMC(
        value=distance.mean().item(),
        per_object=distance.mean(dim=1),
        per_frame=distance.mean(dim=0),
        tracks=tracks,
        tracker=tracks.tracker,
        resolution=(video.shape[-1], video.shape[-2]),
        frames=len(video),
    )


def psnr(a: Video, b: Float[Tensor, "n rgb h w"]) -> Float[Tensor, "frames"]:
    """Peak signal-to-noise ratio of each frame in dB, for values in 0..1; infinite where frames are equal.

    Raises InputError where the shapes differ.
    """
    if a.shape != b.shape:
        raise InputError(f"PSNR compares videos of one shape, got {tuple(a.shape)} and {tuple(b.shape)}; resize one")
    return -10 * (a.float() - b.float()).pow(2).mean(dim=(1, 2, 3)).log10()


def first_frame_psnr(video: Video, image: Float[Tensor, "rgb h w"]) -> float:
    """PSNR in dB of a video's first frame against the picture it was made from: how well the picture was kept."""
    return psnr(video[:1], image[None].to(video.device)).item()
