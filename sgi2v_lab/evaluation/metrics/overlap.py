"""Box overlap: does the object fill the box that it was asked to fill?"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.evaluation.metrics.trajectory_error import check_boxes
from sgi2v_lab.evaluation.trackers.track import PointTracker, track_boxes
from sgi2v_lab.shapes import Boxes, Video

__all__ = ["BoxOverlap", "box_iou", "box_overlap"]


@dataclass(frozen=True)
class BoxOverlap:
    """What `box_overlap` measured, 0..1. If the tracker gives no sizes, those asked for were taken."""

    value: float
    per_object: Float[Tensor, "boxes"]
    per_frame: Float[Tensor, "frames"]
    boxes: Boxes  # as tracked
    tracker: str
    size_tracked: bool

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and lists for JSON."""
        return {
            "value": self.value,
            "per_object": self.per_object.tolist(),
            "per_frame": self.per_frame.tolist(),
            "tracker": self.tracker,
            "size_tracked": self.size_tracked,
        }


def box_overlap(
    video: Video, boxes: Float[Tensor, "boxes steps 4"], tracker: str | PointTracker | None = None
) -> BoxOverlap:
    """Mean intersection over union of tracked and asked boxes, over objects and frames, 0..1; higher is better.

    The overlap of visual object tracking (Wu et al. 2013, "Online object tracking: a benchmark"; the Jaccard index),
    with the box asked for in the place of the annotated one. The tracked box is the first one, moved to where the
    tracker finds its centre and enlarged as the tracker finds it enlarged; a tracker that follows no size ("ncc", the
    default) takes the size asked for, so that only the place counts: `size_tracked` says which. Unlike ObjMC it minds
    an error by what it is to the object's size, and once they no longer touch, farther off is no worse.

    All frames count, the first one too (it is 1 by construction).

    Args:
        video: (frames, 3, h, w) in 0..1.
        boxes: asked for, (boxes, frames, 4), in pixels of the video.
        tracker: a name in `trackers.track.TRACKERS`, or a `PointTracker`; None for the default.

    Raises:
        InputError: as `objmc`.
    """
    boxes = check_boxes(video, boxes, "box overlap")
    tracks = track_boxes(video, boxes[:, 0], tracker)
    sizes = boxes[..., 2:] - boxes[..., :2]
    if tracks.scales is not None:
        sizes = sizes[:, :1] * tracks.scales[..., None]
    found = torch.cat([tracks.points - sizes / 2, tracks.points + sizes / 2], dim=-1)
    overlap = box_iou(found, boxes)
    return BoxOverlap(
        value=overlap.mean().item(),
        per_object=overlap.mean(dim=1),
        per_frame=overlap.mean(dim=0),
        boxes=found,
        tracker=tracks.tracker,
        size_tracked=tracks.scales is not None,
    )


def box_iou(a: Float[Tensor, "*n 4"], b: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Intersection over union of boxes x0, y0, x1, y1, pair by pair; 0 where they do not touch."""
    common = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(dim=-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (a, b)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-12)
