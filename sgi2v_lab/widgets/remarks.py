"""What to say about trajectories while somebody draws them: what will stop a run, and what the model will not follow.

All is judged on the picture as the model sees it, in the units in which the method works.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool

from sgi2v_lab.boxes import Trajectories, latent_cells
from sgi2v_lab.errors import InputError
from sgi2v_lab.fit import Fit
from sgi2v_lab.shapes import Boxes
from sgi2v_lab.widgets.camera_moves import is_camera

__all__ = ["FULL_SPEED", "Remark", "remarks_on"]

# Picture sizes per second that motion bucket 255 stands for. The bundled toy was trained with this scale. SVD's report
# gives none, so there it is a rule of thumb: its default, 127 at 7 frames per second, is 0.05 of the picture a frame.
FULL_SPEED = 0.75


@dataclass(frozen=True)
class Remark:
    """One sentence about the trajectories.

    Attributes:
        kind: "error" (a run would refuse them) or "warning" (it runs, but the box will not do what it seems to).
        index: of the trajectory that is meant, or None for all.
        text: what is wrong, where, and what to do.
    """

    kind: str
    index: int | None
    text: str


def remarks_on(
    trajectories: Trajectories,
    *,
    num_frames: int,
    size: tuple[int, int],
    factor: int,
    motion_bucket: int = 127,
    fps: int = 7,
    fit: str = "stretch",
) -> list[Remark]:
    """Judge trajectories for a model; the worst come first.

    Args:
        trajectories: in pixels of their own picture; none yet is nothing to remark on.
        num_frames: of the video.
        size: (width, height) of the video in pixels, multiples of `factor`.
        factor: pixels per latent cell, 8 for Stable Video Diffusion.
        motion_bucket: 0..255, how much motion the model is asked for.
        fps: frames per second that the model is told.
        fit: how the picture becomes one of `size`, see `Fit.plan`.
    """
    plan = Fit.plan(trajectories.image_size, size, fit)
    found: list[Remark] = []
    for index, one in enumerate(trajectories):
        alone = Trajectories(trajectories.image_size, (one,))
        name = one.name or f"Box {index + 1}"
        try:
            boxes = alone.fitted(plan).boxes(num_frames)
            alone.validate(num_frames)
            latent_cells(boxes, factor, size[1] // factor, size[0] // factor)
        except InputError as error:
            reason = str(error).replace("box 0 ", "it ", 1).replace(f" ({one.name!r})", "", 1)
            found.append(Remark("error", index, f"{name}: {reason}."))
            continue
        for text in (
            *(() if is_camera(one) else _outside(boxes, plan)),  # what a pan moves out of sight is meant to go
            *_small(boxes, factor),
            *_fast(boxes, size, motion_bucket, fps),
        ):
            found.append(Remark("warning", index, f"{name} {text}"))
    return sorted(found, key=lambda remark: remark.kind)  # stable: in the order of the boxes


def _outside(boxes: Boxes, plan: Fit) -> Iterator[str]:
    seen = plan.inside(boxes)[0]
    if len(seen) > 1 and not seen[1:].any():
        yield "is out of the picture in every frame after the first: nothing is left to follow, so bring it back."
    elif not seen.all():
        yield f"is out of the picture in {_frames(~seen)}: it is not guided there."
    box, content = boxes[0, 0], torch.tensor(plan.content)
    inside = (torch.minimum(box[2:], content[2:]) - torch.maximum(box[:2], content[:2])).clamp(min=0).prod()
    hidden = 1 - (inside / (box[2:] - box[:2]).prod()).item()
    if hidden > 0.05:
        yield f"lies {hidden:.0%} outside in the first frame: only what is inside the picture can be followed."


def _small(boxes: Boxes, factor: int) -> Iterator[str]:
    sides = boxes[0, :, 2:] - boxes[0, :, :2]
    small = (sides < factor).any(dim=-1)
    if small.any():
        width, height = sides[small][0].tolist()
        yield (
            f"is {width:.3g} × {height:.3g} px for the model in {_frames(small)}, less than one latent cell "
            f"({factor} × {factor} px): it counts as one cell, so draw it larger."
        )


def _fast(boxes: Boxes, size: tuple[int, int], motion_bucket: int, fps: int) -> Iterator[str]:
    centres = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2 / torch.tensor(size)
    steps = centres.diff(dim=0).norm(dim=-1)  # in pictures per frame
    most = FULL_SPEED * motion_bucket / 255 / fps
    if len(steps) and steps.max() > most:
        fastest = int(steps.argmax())
        yield (
            f"goes {steps.max():.1%} of the picture from frame {fastest + 1} to {fastest + 2}: at motion bucket "
            f"{motion_bucket} and {fps} frames per second, expect about {most:.1%} at most. Shorten its way, give it "
            "more frames or raise the motion bucket."
        )


def _frames(chosen: Bool[torch.Tensor, " frames"]) -> str:
    """Frames as people count them, from 1: "frame 3", "frames 3 to 5", "3 frames from 2 on"."""
    numbers = [i + 1 for i, yes in enumerate(chosen.tolist()) if yes]
    first, last = numbers[0], numbers[-1]
    if len(numbers) == 1:
        return f"frame {first}"
    if len(numbers) == len(chosen):
        return "all frames"
    return f"frames {first} to {last}" if last - first + 1 == len(numbers) else f"{len(numbers)} frames from {first} on"
