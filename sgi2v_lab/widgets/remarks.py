"""What to say about trajectories while somebody draws them: what will stop a run, and what the model will not follow.

All is judged on the picture as the model sees it; what is wrong with a path is `path_faults`.
"""

from dataclasses import dataclass

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.path_faults import outside, too_fast, too_small
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.trajectories.boxes import Trajectories, latent_cells
from sgi2v_lab.trajectories.camera import is_camera

__all__ = ["Remark", "remarks_on"]


@dataclass(frozen=True)
class Remark:
    """One sentence about the trajectories."""

    kind: str  # "error": a run would refuse them; "warning": it runs, but the box will not do what it seems to
    index: int | None  # of the trajectory that is meant; None for all
    text: str  # what is wrong, where, and what to do


def remarks_on(
    trajectories: Trajectories,
    *,
    num_frames: int,
    size: tuple[int, int],
    factor: int,
    motion_bucket_id: int = 127,
    fps: int = 7,
    fit: str = "stretch",
) -> list[Remark]:
    """Judge trajectories for a model; the worst come first.

    Args:
        trajectories: in pixels of their own picture; none yet is nothing to remark on.
        num_frames: of the video.
        size: (width, height) of the video in pixels, multiples of `factor`.
        factor: pixels per latent cell, 8 for Stable Video Diffusion.
        motion_bucket_id: 0..255, how much motion the model is asked for.
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
        for fault in (
            *(() if is_camera(one) else outside(boxes, plan)),  # what a pan moves out of sight is meant to go
            *too_small(boxes, factor),
            *too_fast(boxes, size, motion_bucket_id, fps),
        ):
            found.append(Remark("warning", index, f"{name} {fault.text}"))
    return sorted(found, key=lambda remark: remark.kind)  # stable: in the order of the boxes
