"""Faults of a path that show before a run: out of the picture, too small, too fast.

Boxes are in pixels of the picture as the model sees it. The trajectory editor reports faults while the user draws; a
diagnosis reports them for objects that have another finding.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from sgi2v_lab.evaluation.metrics.measured import centres
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.shapes import Boxes
from sgi2v_lab.trajectories.boxes import shared_area

__all__ = ["FULL_SPEED", "PathFault", "outside", "too_fast", "too_small"]

# Picture sizes per second at motion bucket 255. The bundled toy was trained with this scale. SVD's report gives none:
# there it is a rule of thumb. Its default, bucket 127 at 7 frames per second, is 0.05 of the picture a frame.
FULL_SPEED = 0.75
HIDDEN = 0.05  # of a first box


class PathFault(NamedTuple):
    """A fault of one box's path: `what` continues a sentence that begins with the box's name; `advice` is a sentence.

    `value` is what was measured, `threshold` its limit, both in `unit`.
    """

    what: str
    advice: str
    value: float
    threshold: float
    unit: str

    @property
    def text(self) -> str:
        """Fault and advice, to continue the same sentence."""
        return f"{self.what}. {self.advice}"


def outside(boxes: Boxes, plan: Fit) -> Iterator[PathFault]:
    """Whether one box (1, frames, 4) leaves what `plan` shows of the picture."""
    out = ~plan.inside(boxes)[0]
    if out.any():
        advice = "Nothing is controlled there: keep the box inside for as long as the object should move."
        share = out.float().mean().item()
        yield PathFault(f"is out of the picture in {_frames(out)}", advice, share, 0, "of the frames")
    box, content = boxes[0, 0], boxes.new_tensor(plan.content)
    hidden = 1 - (shared_area(box, content) / (box[2:] - box[:2]).prod()).item()
    if hidden > HIDDEN:
        advice = "Only what is inside the picture can be followed: begin with a box inside."
        yield PathFault(f"lies {hidden:.0%} outside in the first frame", advice, hidden, HIDDEN, "of the box")


def too_small(boxes: Boxes, factor: int) -> Iterator[PathFault]:
    """Whether one box (1, frames, 4) has a side below that of a latent cell, `factor` pixels."""
    sides = boxes[0, :, 2:] - boxes[0, :, :2]
    small = (sides < factor).any(dim=-1)
    if small.any():
        width, height = sides[small][0].tolist()
        cell = f"less than one latent cell ({factor} × {factor} px)"
        what = f"is {width:.3g} × {height:.3g} px for the model in {_frames(small)}, {cell}"
        advice = "It counts as one cell: draw it larger, or crop or enlarge the picture."
        yield PathFault(what, advice, min(width, height), factor, "px")


def too_fast(boxes: Boxes, size: tuple[int, int], motion_bucket: int, fps: int) -> Iterator[PathFault]:
    """Whether one box (1, frames, 4) is faster than the motion bucket allows, in a video of `size` (width, height)."""
    steps = (centres(boxes)[0] / torch.tensor(size)).diff(dim=0).norm(dim=-1)  # in pictures per frame
    most = FULL_SPEED * motion_bucket / 255 / fps
    if len(steps) and steps.max() > most:
        last = int(steps.argmax()) + 2
        what = (
            f"goes {steps.max():.1%} of the picture from frame {last - 1} to {last}: at motion bucket {motion_bucket} "
            f"and {fps} frames per second, expect about {most:.1%} at most"
        )
        advice = "Shorten its path, use more frames or raise the motion bucket."
        yield PathFault(what, advice, 100 * steps.max().item(), 100 * most, "% of the picture a frame")


def _frames(chosen: Bool[Tensor, "frames"]) -> str:
    """Frames counted from 1, such as "3 of 8 frames, from frame 2 on"."""
    return f"{int(chosen.sum())} of {len(chosen)} frames, from frame {1 + int(chosen.int().argmax())} on"
