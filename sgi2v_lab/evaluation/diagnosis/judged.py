"""The video that is judged, what is known of it, and what the checks share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.looks import FAINT, Cutouts, cut_out, fine_power
from sgi2v_lab.evaluation.metrics.measured import check_boxes
from sgi2v_lab.evaluation.trackers.template import Match, find_box
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Points, Video
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.camera import is_camera

__all__ = ["JudgedVideo"]

MARGIN = 1 / 24  # of the shorter side, kept clear around boxes


@dataclass(frozen=True)
class JudgedVideo:
    """A video and what is known of it. Lengths are in pixels of the video; None or empty means unknown.

    Attributes:
        video: (frames, 3, h, w) in 0..1.
        image: the picture (3, h, w) that it was made from.
        boxes: of the objects, as asked for, (boxes, frames, 4); None without control.
        camera: boxes on the background that were asked to move as the camera does.
        names: of the objects; without one it is called "Box 1", "Box 2", ...
        uncontrolled: the video from the same noise without control.
        settings: hyperparameters.
        losses: control step -> loss before each iteration.
        sigmas: noise level of every step.
        model: that made it, from `load_model`.
        cell: pixels per latent cell.

    Raises:
        InputError: boxes for another number of frames, or wholly outside the first one; a picture, or a video without
            control, of another size.
    """

    video: Video
    image: Float[Tensor, "3 _ _"] | None = None
    boxes: Float[Tensor, "boxes _ 4"] | None = None
    camera: Float[Tensor, "others _ 4"] | None = None
    names: Sequence[str] = ()
    uncontrolled: Float[Tensor, "_ 3 _ _"] | None = None
    settings: Settings | None = None
    losses: Mapping[int, Sequence[float]] = field(default_factory=dict)
    sigmas: Sequence[float] = ()
    model: Model | None = None
    cell: int = 8

    def __post_init__(self) -> None:
        """Bring all arrays to the CPU, and check that they belong together."""
        for name in ("video", "image", "uncontrolled"):
            value = getattr(self, name)
            if value is not None:
                value = value.detach().float().cpu()
                finite = value.isfinite()
                object.__setattr__(self, name, torch.where(finite, value.clamp(0, 1), torch.nan))
        for name in ("boxes", "camera"):
            value = getattr(self, name)
            if value is not None:
                value = check_boxes(self.video, value, "a diagnosis") if len(value) else None
                object.__setattr__(self, name, value)
        if self.uncontrolled is not None and self.uncontrolled.shape != self.video.shape:
            raise InputError(
                f"the video without control has the shape {tuple(self.uncontrolled.shape)}, the one with control "
                f"{tuple(self.video.shape)}; give the two that belong together"
            )
        if self.image is not None and self.image.shape[-2:] != self.video.shape[-2:]:
            raise InputError(
                f"the picture has {self.image.shape[-1]}x{self.image.shape[-2]} px but the video "
                f"{self.video.shape[-1]}x{self.video.shape[-2]}; resize it"
            )
        if self.boxes is not None:
            low, high = self.boxes[:, 0].split(2, dim=1)
            outside = ((high <= 0) | (low >= torch.tensor(self.size))).any(dim=1)
            if outside.any():
                index = int(outside.nonzero()[0])
                raise InputError(f"box {index} lies wholly outside the first frame, so there is no object to judge")

    @classmethod
    def of_run(
        cls,
        run: Run,
        uncontrolled: Run | None = None,
        *,
        trajectories: Trajectories | None = None,
        model: Model | None = None,
    ) -> "JudgedVideo":
        """A run, with what it holds itself.

        Args:
            run: from `generate`.
            uncontrolled: the same without control, to tell what control did from what the model does anyway.
            trajectories: as drawn: they tell the objects' names, and which boxes are the camera's.
            model: that made the run.

        Raises:
            InputError: as `JudgedVideo`, or other trajectories than the run's.
        """
        boxes, camera, names = run.boxes, None, []
        if trajectories is not None and boxes is not None:
            if len(trajectories) != len(boxes):
                raise InputError(f"there are {len(trajectories)} trajectories for a run with {len(boxes)} boxes")
            mine = [not is_camera(each) for each in trajectories]
            names = [each.name for each, own in zip(trajectories, mine, strict=True) if own]
            boxes, camera = boxes[torch.tensor(mine)], boxes[~torch.tensor(mine)]
        return cls(
            video=run.video,
            image=run.image,
            boxes=boxes,
            camera=camera,
            names=names,
            uncontrolled=None if uncontrolled is None else uncontrolled.video,
            settings=run.settings,
            losses=run.losses,
            sigmas=run.sigmas,
            model=model,
            cell=8 if model is None else model.vae_factor,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.video.shape[-1], self.video.shape[-2]

    @property
    def side(self) -> int:
        """The shorter side in pixels, by which lengths are judged."""
        return min(self.size)

    @property
    def objects(self) -> range:
        """The indices of the objects' boxes."""
        return range(0 if self.boxes is None else len(self.boxes))

    def name(self, index: int) -> str:
        """What an object is called in a sentence."""
        name = self.names[index] if index < len(self.names) else ""
        return name or f"Box {index + 1}"

    def others(self, index: int) -> Boxes:
        """The boxes of all other objects."""
        return torch.cat([self.boxes[:index], self.boxes[index + 1 :]])

    @cached_property
    def asked(self) -> Points:
        """The paths of the boxes' centres."""
        return (self.boxes[..., :2] + self.boxes[..., 2:]) / 2

    @cached_property
    def matches(self) -> list[Match]:
        """Where each object was found, by the tracker that ObjMC is measured with by default."""
        return [find_box(self.video, box) for box in self.boxes[:, 0]]

    @cached_property
    def cutouts(self) -> list[Cutouts]:
        """Each object, cut out along its track."""
        return [cut_out(self.video, self.boxes[k], self.matches[k].centers, self.others(k)) for k in self.objects]

    @cached_property
    def background(self) -> Bool[Tensor, "height width"]:
        """The pixels that lie well outside of every box in every frame, where not even a blurred edge reaches."""
        width, height = self.size
        wide = MARGIN * self.side * torch.tensor([-1.0, -1.0, 1.0, 1.0])
        x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
        outside = torch.ones(height, width, dtype=torch.bool)
        for x0, y0, x1, y1 in () if self.boxes is None else (self.boxes.flatten(0, 1) + wide).tolist():
            outside &= ~(((y > y0) & (y < y1))[:, None] & ((x > x0) & (x < x1))[None])
        return outside

    @cached_property
    def sharpness(self) -> Float[Tensor, "frames"]:
        """How much fine detail the background of each frame has, against the first one's: a ratio of amplitudes.

        1 where the first one has none.
        """
        if not self.background.any():
            return torch.ones(len(self.video))
        power = fine_power(self.video, self.background)
        return (power / power[0]).sqrt() if power[0] > FAINT else torch.ones(len(self.video))

    @cached_property
    def in_sight(self) -> Bool[Tensor, "boxes frames"]:
        """Whether half of the box asked for lies in the picture and clear of other boxes: else it may be hidden."""
        size, area = torch.tensor(self.size), (self.boxes[..., 2:] - self.boxes[..., :2]).prod(dim=-1)
        inside = (self.boxes[..., 2:].minimum(size) - self.boxes[..., :2].clamp(min=0)).clamp(min=0).prod(dim=-1)
        sight = inside > 0.5 * area
        for k in self.objects:
            for other in self.others(k):
                low, high = self.boxes[k, :, :2].maximum(other[:, :2]), self.boxes[k, :, 2:].minimum(other[:, 2:])
                sight[k] &= (high - low).clamp(min=0).prod(dim=-1) < 0.5 * area[k]
        return sight

    @cached_property
    def lost(self) -> Float[Tensor, "boxes"]:
        """The share of later frames, among those in which it should be in sight, in which each was not found.

        What was found in another object's box, and out of its own, was not: the tracker has gone over to that one.
        """
        shares = []
        for k in self.objects:
            place = self.matches[k].centers
            own, *other = (_within(place, box) for box in (self.boxes[k], *self.others(k)))
            taken = ~own & torch.stack([*other, torch.zeros_like(own)]).any(dim=0)
            should = self.in_sight[k, 1:]
            missed = (~self.matches[k].seen | taken)[1:] & should
            shares.append(missed.sum() / should.sum().clamp(min=1))
        return torch.stack(shares)


def _within(points: Float[Tensor, "frames 2"], box: Float[Tensor, "frames 4"]) -> Bool[Tensor, "frames"]:
    return ((points > box[:, :2]) & (points < box[:, 2:])).all(dim=-1)
