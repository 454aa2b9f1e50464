"""Which objects of a data set are asked to move: those that can be controlled and judged.

An object is left out, and counted under the reason in `Sample.meta["dropped"]`, if

* "outside": the centre of its first box is not on the picture, so there is little to take its look from;
* "small": its first box is narrower than some pixels, less than one cell of the latent grid;
* "far outside": its centre goes far out of the picture. That is the check that released tracks of VIPSeg need, some of
  which lie far outside the picture.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Boxes
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory

__all__ = ["kept_trajectories", "screen"]

LEAST_SIDE = 8.0  # pixels: one latent cell of Stable Video Diffusion


def screen(
    boxes: Boxes, size: tuple[int, int], least_side: float | int = LEAST_SIDE, margin: float | int | None = None
) -> list[str | None]:
    """Why each object is left out; None for those that are kept.

    Args:
        boxes: (boxes, frames, 4) in pixels of a picture of `size`.
        size: (width, height).
        least_side: pixels that a first box must have in width and in height.
        margin: how far out of the picture a centre may go, in its width and height; None for any distance.
    """
    width, height = size
    reasons: list[str | None] = []
    for path in boxes:
        x0, y0, x1, y1 = path[0].tolist()
        xs, ys = (path[:, 0] + path[:, 2]) / 2, (path[:, 1] + path[:, 3]) / 2
        if not (0 <= xs[0] <= width and 0 <= ys[0] <= height):
            reasons.append("outside")
        elif min(x1 - x0, y1 - y0) < least_side:
            reasons.append("small")
        elif (
            margin is not None
            and not (
                (xs >= -margin * width)
                & (xs <= (1 + margin) * width)
                & (ys >= -margin * height)
                & (ys <= (1 + margin) * height)
            ).all()
        ):
            reasons.append("far outside")
        else:
            reasons.append(None)
    return reasons


def kept_trajectories(
    name: str | Path,
    boxes: Boxes,
    labels: Sequence[str],
    visible: Bool[Tensor, "boxes frames"],
    reasons: Sequence[str | None],
    size: tuple[int, int],
    dropped: Counter[str],
) -> tuple[Trajectories, Bool[Tensor, "_ frames"]]:
    """The trajectories of the objects that are kept, frame by frame, and where they are visible.

    Args:
        name: of the sample, for messages.
        boxes: (boxes, frames, 4) of all objects in pixels of a picture of `size`.
        labels: what each is called.
        visible: of all objects.
        reasons: from `screen`.
        size: (width, height).
        dropped: counts of reasons, to which these are added.

    Raises:
        InputError: none is left.
    """
    dropped.update(reason for reason in reasons if reason)
    kept = [k for k, reason in enumerate(reasons) if reason is None]
    if not kept:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "there was none"
        raise InputError(f"{name} has no object to follow ({why}): expected at least one, so leave it out")
    trajectories = tuple(Trajectory.from_boxes(boxes[k], name=labels[k]) for k in kept)
    return Trajectories(size, trajectories), visible[kept]
