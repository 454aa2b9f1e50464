"""Problems of a box's path that are known before anything is computed: outside, too small, too fast.

All is judged on the picture as the model sees it, in the method's units. The trajectory editor reports them while the
user draws; a diagnosis reports them for objects that have another finding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool

from sgi2v_lab.images.resize import Fit
from sgi2v_lab.shapes import Boxes

__all__ = ["FULL_SPEED", "PathFault", "outside", "too_fast", "too_small"]

# Picture sizes per second that motion bucket 255 stands for. The bundled toy was trained with this scale. SVD's report
# gives none, so there it is a rule of thumb: its default, 127 at 7 frames per second, is 0.05 of the picture a frame.
FULL_SPEED = 0.75
HIDDEN = 0.05  # of a first box, that may lie outside the picture


@dataclass(frozen=True)
class PathFault:
    """One thing about one box's path.

    Attributes:
        kind: "outside", "small" or "fast".
        what: what is wrong and where, to be put behind the box's name.
        advice: what to do, a sentence.
        value: what was measured, in `unit`.
        threshold: the value from which on it is said.
        unit: of both.
    """

    kind: str
    what: str
    advice: str
    value: float
    threshold: float
    unit: str

    @property
    def text(self) -> str:
        """Both as one text, to be put behind the box's name."""
        return f"{self.what}. {self.advice}"


def outside(boxes: Boxes, plan: Fit) -> Iterator[PathFault]:
    """Whether one box (1, frames, 4), in pixels of the fitted picture, leaves what `plan` shows of the picture."""
    seen = plan.inside(boxes)[0]
    gone, unit = (~seen).float().mean().item(), "of the frames"
    if len(seen) > 1 and not seen[1:].any():
        what, advice = (
            "is out of the picture in every frame after the first",
            "Nothing is left to follow: bring it back.",
        )
        yield PathFault("outside", what, advice, gone, 0, unit)
    elif not seen.all():
        what = f"is out of the picture in {_frames(~seen)}"
        yield PathFault(
            "outside",
            what,
            "Nothing is controlled there: keep the box inside for as long as the object should move.",
            gone,
            0,
            unit,
        )
    box, content = boxes[0, 0], torch.tensor(plan.content)
    inside = (torch.minimum(box[2:], content[2:]) - torch.maximum(box[:2], content[:2])).clamp(min=0).prod()
    hidden = 1 - (inside / (box[2:] - box[:2]).prod()).item()
    if hidden > HIDDEN:
        what = f"lies {hidden:.0%} outside in the first frame"
        advice = "Only what is inside the picture can be followed: begin with a box inside."
        yield PathFault("outside", what, advice, hidden, HIDDEN, "of the box")


def too_small(boxes: Boxes, factor: int) -> Iterator[PathFault]:
    """Whether one box (1, frames, 4) is anywhere less than a latent cell of `factor` pixels."""
    sides = boxes[0, :, 2:] - boxes[0, :, :2]
    small = (sides < factor).any(dim=-1)
    if small.any():
        width, height = sides[small][0].tolist()
        what = (
            f"is {width:.3g} × {height:.3g} px for the model in {_frames(small)}, less than one latent cell "
            f"({factor} × {factor} px)"
        )
        advice = "It counts as one cell: draw it larger, or crop or enlarge the picture."
        yield PathFault("small", what, advice, min(width, height), factor, "px")


def too_fast(boxes: Boxes, size: tuple[int, int], motion_bucket: int, fps: int) -> Iterator[PathFault]:
    """Whether one box (1, frames, 4) goes faster than the motion bucket stands for, in a video of (width, height)."""
    centers = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2 / torch.tensor(size)
    steps = centers.diff(dim=0).norm(dim=-1)  # in pictures per frame
    most = FULL_SPEED * motion_bucket / 255 / fps
    if len(steps) and steps.max() > most:
        fastest = int(steps.argmax())
        what = (
            f"goes {steps.max():.1%} of the picture from frame {fastest + 1} to {fastest + 2}: at motion bucket "
            f"{motion_bucket} and {fps} frames per second, expect about {most:.1%} at most"
        )
        advice = "Shorten its way, give it more frames or raise the motion bucket."
        yield PathFault("fast", what, advice, 100 * steps.max().item(), 100 * most, "% of the picture a frame")


def _frames(chosen: Bool[torch.Tensor, " frames"]) -> str:
    """Frames as people count them, from 1: "frame 3", "frames 3 to 5", "3 frames from 2 on"."""
    numbers = [i + 1 for i, yes in enumerate(chosen.tolist()) if yes]
    first, last = numbers[0], numbers[-1]
    if len(numbers) == 1:
        return f"frame {first}"
    if len(numbers) == len(chosen):
        return "all frames"
    return f"frames {first} to {last}" if last - first + 1 == len(numbers) else f"{len(numbers)} frames from {first} on"
