"""A video with what is known of it. Each tracker runs once, and all metrics share its tracks."""

from dataclasses import dataclass, field, fields
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.track import get_tracker, track_boxes
from sgi2v_lab.evaluation.trackers.tracks import PointTracker, Tracks, unit_grid
from sgi2v_lab.shapes import Boxes, Image, Points, Video

__all__ = ["PER_SIDE", "Found", "Measured", "MeasuredVideo", "centres", "check_later", "grid_points"]

PER_SIDE = 16  # points of the grid along each side of the picture

Found = tuple[float, dict[str, object]]  # a metric's value, and what it depends on


@dataclass(frozen=True)
class Measured:
    """The value of a metric, or the reason why there is none.

    `details` has in plain numbers and lists what the value depends on, such as `tracker` and `per_object`.
    """

    value: float | None
    reason: str | None = None
    details: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class MeasuredVideo:
    """A video in 0..1 and what is known of it, in pixels of the video; None means unknown.

    In a camera pan the boxes asked for lie on the background: give them as `boxes` and `camera`, and as `objects` the
    boxes of what is not background. InputError: boxes for another number of frames; a picture or a true clip of
    another size.
    """

    video: Video
    image: Float[Tensor, "3 _ _"] | None = None  # the picture that it was made from
    boxes: Float[Tensor, "_ _ 4"] | None = None  # those asked for, (boxes, frames, 4)
    objects: Float[Tensor, "_ _ 4"] | None = None  # of everything that is not background; None: `boxes`
    camera: Float[Tensor, "_ _ 4"] | None = None  # on the background, asked to move as the camera does
    reference: Float[Tensor, "_ 3 _ _"] | None = None  # the true clip
    tracker: str | PointTracker | None = None  # for everything; None: each metric's own

    def __post_init__(self) -> None:
        """Check shapes, and bring everything to the CPU. An empty set of boxes counts as unknown."""
        frames, shapes = len(self.video), {"image": self.video.shape[1:]}
        shapes |= dict.fromkeys(("reference", "uncontrolled"), self.video.shape)
        for name in (each.name for each in fields(self)):
            value, boxes = getattr(self, name), name in ("boxes", "objects", "camera")
            if not isinstance(value, Tensor):
                continue
            if boxes and value.shape[1] != frames:
                raise InputError(f"{name}: {value.shape[1]} frames but the video has {frames}; give one box per frame")
            if value.shape != (wanted := shapes.get(name, value.shape)):
                raise InputError(f"{name} has shape {tuple(value.shape)}: expected {tuple(wanted)}; resize or cut it")
            object.__setattr__(self, name, None if boxes and not len(value) else value.detach().float().cpu())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.video.shape[-1], self.video.shape[-2]

    @property
    def picture(self) -> Image:
        """The image, or the video's first frame where it is not known."""
        return self.video[0] if self.image is None else self.image

    @cached_property
    def asked(self) -> Boxes:
        """The boxes asked for; InputError if there is none."""
        if self.boxes is None:
            raise InputError("this metric needs at least one box, got none; give boxes of shape (boxes, frames, 4)")
        return self.boxes

    @cached_property
    def box_tracks(self) -> Tracks:
        """The tracks of what is in each box asked for."""
        check_later(self.video)
        return track_boxes(self.video, self.asked[:, 0], self.tracker)

    @cached_property
    def centre_tracks(self) -> Tracks:
        """The tracks of the middle of each box asked for; InputError if one starts outside the picture."""
        start = centres(self.asked)[:, 0]
        inside = ((start >= 0) & (start < torch.tensor(self.size))).all(dim=-1)
        if not inside.all():
            outside = int((~inside).nonzero()[0])
            raise InputError(f"box {outside} has its centre outside the first frame; move it inside")
        return get_tracker(self.tracker)(self.video, start)

    @cached_property
    def grid_tracks(self) -> Tracks:
        """The tracks of `grid_points`, by default by Lucas-Kanade."""
        return get_tracker(self.tracker or "lk")(self.video, grid_points(self.video))

    @cached_property
    def reference_tracks(self) -> Tracks:
        """The tracks of the same points in the true clip."""
        return get_tracker(self.tracker or "lk")(self.reference, grid_points(self.video))


def check_later(video: Video) -> None:
    """InputError for a single frame, and for values that are not finite."""
    if len(video) < 2:
        raise InputError("the video has one frame, in which nothing moves; give at least two")
    if not torch.isfinite(video).all():
        raise InputError("the video has values that are not finite: expected 0..1")


def centres(boxes: Boxes) -> Points:
    """The centres (x, y) of boxes."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def grid_points(video: Video) -> Float[Tensor, "n 2"]:
    """A uniform grid of 16 x 16 points (x, y) in pixels, half a step from the picture's edges."""
    return unit_grid(PER_SIDE) * torch.tensor([video.shape[-1], video.shape[-2]])
