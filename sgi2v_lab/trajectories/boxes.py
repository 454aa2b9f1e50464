"""What should move, and where to: all trajectories on one picture, and their boxes in pixels and in latent cells.

A box that moves and one that stays, over eight frames:

    >>> ball = Trajectory.move((10, 40, 30, 60), by=(60, 0), easing="ease-in-out")
    >>> hill = Trajectory.pin((80, 70, 120, 110))
    >>> boxes = Trajectories((128, 128), (ball, hill)).boxes(num_frames=8)
    >>> boxes.shape
    torch.Size([2, 8, 4])
    >>> latent_cells(boxes, factor=8, h=16, w=16)[0, 0]
    tensor([1, 5, 3, 7])

`sgi2v_lab.trajectories.trajectory` says how one trajectory is made, `camera` makes whole sets that move the camera.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import Fit, check_size
from sgi2v_lab.shapes import Boxes, CellBoxes
from sgi2v_lab.trajectories.geometry import FARTHEST, written
from sgi2v_lab.trajectories.trajectory import KeyBox, Trajectory

__all__ = ["KeyBox", "Trajectories", "Trajectory", "latent_cells", "shared_area"]


@dataclass(frozen=True)
class Trajectories:
    """All trajectories on one picture; `len`, iteration and indexing go over them."""

    image_size: tuple[int, int]  # (width, height) of the picture that the coordinates belong to
    trajectories: tuple[Trajectory, ...] = ()  # one per box; none while somebody is still drawing

    def __post_init__(self) -> None:
        """Read the size and freeze the trajectories into a tuple."""
        object.__setattr__(self, "image_size", check_size(self.image_size, "the picture's size"))
        given = (self.trajectories,) if isinstance(self.trajectories, Trajectory) else self.trajectories
        try:
            object.__setattr__(self, "trajectories", tuple(given))
        except TypeError:
            raise InputError(f"the trajectories are {given!r:.60}: expected several of Trajectory") from None
        for each in self.trajectories:
            if not isinstance(each, Trajectory):
                raise InputError(
                    f"one of the trajectories is {each!r:.60}: expected a Trajectory, as from "
                    "Trajectory.move(box, by=...), or Trajectories.from_boxes(image_size, boxes)"
                )

    @classmethod
    def from_boxes(
        cls, image_size: tuple[int, int], boxes: Boxes | Float[np.ndarray, "boxes frames 4"], *, resample: bool = False
    ) -> "Trajectories":
        """Motion given frame by frame, (boxes, frames, 4) in pixels of a picture of `image_size`."""
        if np.ndim(boxes) != 3:
            raise InputError(f"the boxes have shape {np.shape(boxes)}: expected (boxes, frames, 4)")
        return cls(image_size, tuple(Trajectory.from_boxes(each, resample=resample) for each in boxes))

    def __len__(self) -> int:
        """The number of boxes, those that stay included."""
        return len(self.trajectories)

    def __iter__(self) -> Iterator[Trajectory]:
        """The trajectories in order."""
        return iter(self.trajectories)

    def __getitem__(self, index: int) -> Trajectory:
        """The trajectory whose boxes are `boxes(num_frames)[index]`."""
        return self.trajectories[index]

    def boxes(self, num_frames: SupportsIndex) -> Boxes:
        """All boxes, float32 (boxes, num_frames, 4) in pixels. Raises InputError as `Trajectory.boxes` does."""
        if not self.trajectories:
            return torch.zeros(0, num_frames, 4)
        return torch.stack([trajectory.boxes(num_frames) for trajectory in self])

    def resampled(self) -> "Trajectories":
        """The same motions, allowed at any number of frames."""
        return replace(self, trajectories=tuple(trajectory.resampled() for trajectory in self))

    def fitted(self, fit: Fit) -> "Trajectories":
        """The same motions on the picture that `fit` makes of this one; its source must have this picture's size.

        Key boxes are carried over exactly, so without a path `fitted(fit).boxes(n)` is `fit.apply(boxes(n))`. With one,
        the speed is even in the pixels of the new picture, which differs where a stretch distorts.
        """
        if fit.source != self.image_size:
            raise InputError(
                f"the trajectories belong to a picture of {_by(self.image_size)} pixels but the one fitted has "
                f"{_by(fit.source)}: expected the same picture"
            )
        return Trajectories(fit.target, tuple(trajectory.fitted(fit) for trajectory in self))

    def resized(self, image_size: tuple[int, int]) -> "Trajectories":
        """The same motions on the same picture, stretched to another size."""
        return self.fitted(Fit.plan(self.image_size, image_size))

    def validate(self, num_frames: int) -> None:
        """Check that a video of `num_frames` frames can follow these; malformed parts cannot even be built.

        Raises:
            InputError: if there is no trajectory, one was given for another number of frames, or a box lies wholly
                outside the picture in the first frame, where its content is taken from.
        """
        if not self.trajectories:
            raise InputError("there are no trajectories: expected at least one box, so draw or load one")
        width, height = self.image_size
        for index, (trajectory, boxes) in enumerate(zip(self, self.boxes(num_frames), strict=True)):
            x0, y0, x1, y1 = boxes[0].tolist()
            if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
                name = f" ({trajectory.name!r})" if trajectory.name else ""
                raise InputError(
                    f"box {index}{name} starts at {written((x0, y0, x1, y1))}, wholly outside the picture of "
                    f"{_by(self.image_size)} pixels: expected some of it inside in the first frame"
                )


def latent_cells(boxes: Boxes, factor: int, h: int, w: int, frames_per_latent: int = 1) -> CellBoxes:
    """Boxes in cells of the latent grid: the one conversion from pixels.

    As in the reference implementation of SG-I2V (Namekata et al., arXiv 2411.04989), every coordinate is divided
    by the factor of the autoencoder and rounded down. A box that would vanish gets one cell. So cell columns x0..x1-1
    and rows y0..y1-1 belong to the box, and a shift by a whole number of cells keeps its size, while any other may
    change it by a cell.

    Nothing is clipped here. What reaches beyond the grid is for the loss to cut from crop, target and weight alike, and
    a box wholly outside the grid in a later frame is for it to skip. In the first frame there would be no target.

    Args:
        boxes: (boxes, frames, 4) in pixels of the picture that the model sees.
        factor: pixels per cell, 8 for Stable Video Diffusion.
        h: rows of the latent grid.
        w: columns of the latent grid.
        frames_per_latent: of each latent after the first, which is the first frame's alone; its box is their mean.

    Returns:
        int64 (boxes, latent frames, 4): x0, y0, x1, y1 with x1 >= x0 + 1 and y1 >= y0 + 1; may be negative or beyond h
        and w.

    Raises:
        InputError: if a box covers no cell of the grid in frame 0, or a coordinate is not a finite number of pixels.
    """
    if factor < 1 or h < 1 or w < 1:
        raise InputError(f"the latent grid has factor {factor}, {h} rows and {w} columns: expected at least 1 of each")
    if not (boxes.abs() <= 4 * FARTHEST).all():  # NaN fails this too; a box on a path may be that far out
        raise InputError("a box has a coordinate that is not finite or absurdly large: expected pixels")
    first, later = boxes.double().split([1, boxes.shape[1] - 1], dim=1)
    later = later.unflatten(1, (later.shape[1] // frames_per_latent, frames_per_latent)).mean(dim=2)
    cells = torch.div(torch.cat([first, later], dim=1), factor, rounding_mode="floor").long()
    start, stop = cells[..., :2], cells[..., 2:]
    cells = torch.cat([start, torch.maximum(stop, start + 1)], dim=-1)
    x0, y0, x1, y1 = cells[:, :1].unbind(dim=-1)
    outside = ((x1 <= 0) | (y1 <= 0) | (x0 >= w) | (y0 >= h)).flatten()
    if outside.any():
        index = int(outside.nonzero()[0])
        raise InputError(
            f"box {index} starts at {written(boxes[index, 0].tolist())}, which covers no cell of the {w} x {h} latent "
            f"grid ({w * factor} x {h * factor} pixels): expected some of it inside in the first frame"
        )
    return cells


def shared_area(a: Float[Tensor, "*_a 4"], b: Float[Tensor, "*_b 4"]) -> Float[Tensor, "*_both"]:
    """The areas that boxes share, pair by pair, with broadcasting; 0 where they do not touch."""
    common = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    return common.clamp(min=0).prod(dim=-1)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
