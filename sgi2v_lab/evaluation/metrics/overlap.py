"""Box overlap: does the object fill the box that it was asked to fill?

There is no mask IoU: finding the object's mask in a generated video takes a segmenter, and a mask that is carried along
by the tracked box says no more than the box.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.evaluation.metrics.measured import Found, MeasuredVideo

__all__ = ["box_iou", "box_overlap"]


def box_overlap(given: MeasuredVideo) -> Found:
    """Mean intersection over union of tracked and asked boxes, over objects and frames, 0..1; higher is better.

    The overlap of visual object tracking (Wu et al. 2013, "Online object tracking: a benchmark"). The tracked box is
    the first one, moved and scaled as the tracker finds it. A tracker that follows no size ("ncc", the default) takes
    the size asked for, so that only the place counts: `size_tracked` says which. All frames count, also the first one,
    which has 1. InputError: there is no box, or one lies outside the first frame.
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
    common = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(dim=-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (a, b)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-12)
