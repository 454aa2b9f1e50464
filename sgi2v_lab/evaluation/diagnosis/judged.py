"""The video that is judged, what is known of it, and what several checks need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.evaluation.metrics.measured import MeasuredVideo, centres
from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Points
from sgi2v_lab.trajectories.boxes import Trajectories, shared_area
from sgi2v_lab.trajectories.camera import is_camera

__all__ = ["JudgedVideo", "by_purpose"]


@dataclass(frozen=True)
class JudgedVideo(MeasuredVideo):
    """A video and what is known of it. Lengths are in pixels of the video; None or empty means unknown.

    `video`, `image`, `boxes` (of the objects, as asked for) and `camera` are those of `MeasuredVideo`.

    Attributes:
        names: Of the objects. An object without a name is called "Box 1", "Box 2", ...
        uncontrolled: The video from the same noise without control.
        settings: The settings that made it.
        losses: Control step -> loss before each iteration.
        sigmas: Noise level of every step.
        model: The model that made it.
    """

    names: Sequence[str] = ()
    uncontrolled: Float[Tensor, "_ 3 _ _"] | None = None
    settings: Settings | None = None
    losses: Mapping[int, Sequence[float]] = field(default_factory=dict)
    sigmas: Sequence[float] = ()
    model: Model | None = None

    @property
    def side(self) -> int:
        """The shorter side in pixels; limits of lengths are shares of it."""
        return min(self.video.shape[-2:])

    @property
    def cell(self) -> int:
        """Pixels per latent cell."""
        return 8 if self.model is None else self.model.vae_factor

    @cached_property
    def paths(self) -> Points:
        """The path of each box's centre, as asked for."""
        return centres(self.asked)

    def name(self, index: int) -> str:
        """What an object is called in a sentence."""
        return (self.names[index] if index < len(self.names) else "") or f"Box {index + 1}"

    @cached_property
    def in_sight(self) -> Float[Tensor, "boxes frames"]:
        """The share of each box asked for that is in the picture and clear of other boxes; the rest may be hidden."""
        inside = shared_area(self.boxes, self.boxes.new_tensor((0, 0, *self.size)))
        overlap = shared_area(self.boxes[:, None], self.boxes)
        own = (self.boxes[..., 2:] - self.boxes[..., :2]).prod(dim=-1)
        return ((inside - (overlap.sum(dim=1) - own)) / own).clamp(min=0)


def by_purpose(trajectories: Trajectories, boxes: Boxes) -> dict[str, object]:
    """The boxes of trajectories as arguments of `JudgedVideo`: the objects', the camera's, and the objects' names."""
    camera = torch.tensor([is_camera(each) for each in trajectories])
    names = [each.name for each in trajectories if not is_camera(each)]
    return {"boxes": boxes[~camera], "camera": boxes[camera], "names": names}
