"""What all data sets have in common.

dataset = open_dataset("davis", "DAVIS", size=(128, 128), num_frames=8)
len(dataset), dataset.names
sample = dataset["bear"]
for sample in dataset: ...
"""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.layout import existing_folder
from sgi2v_lab.evaluation.trackers.track import PointTracker, get_tracker
from sgi2v_lab.images.resize import Fit, check_size
from sgi2v_lab.shapes import Boxes, Image, Video
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory

__all__ = ["LEAST_SIDE", "Dataset", "Sample", "screen"]

LEAST_SIDE = 8.0  # pixels that a box must have in width and in height: one latent cell of Stable Video Diffusion


@dataclass(frozen=True)
class Sample:
    """One picture of a data set, with what is asked of it.

    Attributes:
        name: what it is called in its data set, in files and in tables.
        first_frame: (3, height, width), values 0..1.
        trajectories: the boxes to follow, in pixels of `first_frame`; `trajectories.boxes(num_frames)` gives them.
        clip: the true video (num_frames, 3, height, width), which begins with `first_frame`; None where there is none.
        visible: (boxes, num_frames), False where an object is hidden or out of view: its box waits at the last place
            where it was seen. None where nobody knows.
        meta: where it comes from, as plain values: "source", "source_size", "frames" (which of the source were taken),
            "dropped" (reason -> objects left out), and more by data set.
        category: its group in a report.
        motion: the settings `fps` and `motion_bucket_id` that say how fast things move; empty where nobody knows.
        objects: boxes (objects, num_frames, 4) of what is not background, where the trajectories do not say it: in a
            camera pan those lie on the background.
    """

    name: str
    first_frame: Image
    trajectories: Trajectories
    clip: Video | None = None
    visible: Bool[Tensor, "boxes frames"] | None = None
    meta: dict[str, object] = field(default_factory=dict)
    category: str = "all"
    motion: dict[str, int] = field(default_factory=dict)
    objects: Boxes | None = None

    def __post_init__(self) -> None:
        """Refuse parts of different sizes."""
        size = (self.first_frame.shape[-1], self.first_frame.shape[-2])
        if self.trajectories.image_size != size:
            raise InputError(
                f"sample {self.name!r} has a picture of size {size} and trajectories for one of "
                f"{self.trajectories.image_size}: expected the same, so carry them over with fitted()"
            )
        if self.clip is not None and not torch.equal(self.clip[0], self.first_frame):
            raise InputError(f"the clip of sample {self.name!r} does not begin with its first frame: expected it to")


class Dataset(ABC):
    """A stream of samples at one size and number of frames: `len`, iteration, `names`, and samples by name or place.

    Args:
        folder: where it lies; None for one that is drawn.
        size: (width, height) of every sample.
        num_frames: of every clip and box, at least 2.
        how: how pictures become that size: "stretch" (as SG-I2V's reference implementation does), "crop" or "pad".
        stride: take every so many-th frame of a clip from the first on; 0 spreads them evenly over the clip; None for
            the data set's own.
        tracker: a name in `TRACKERS`, or a `PointTracker`, where boxes are followed; None for the data set's own.

    Attributes:
        names: of its samples, in order.
        missing: names that its list has, but for which there is no file: not an error, since much of what once was on
            the web is gone.
    """

    kind: ClassVar[str]
    own_stride: ClassVar[int] = 1
    own_tracker: ClassVar[str | None] = None

    def __init__(
        self,
        folder: str | Path | None,
        *,
        size: tuple[int, int],
        num_frames: int,
        how: str = "stretch",
        stride: int | None = None,
        tracker: str | PointTracker | None = None,
    ) -> None:
        self.folder = None if folder is None else existing_folder(Path(folder), f"the {self.kind} data set")
        self.size = check_size(size, "the size of the samples")
        if isinstance(num_frames, bool) or num_frames < 2:
            raise InputError(f"the number of frames is {num_frames}: expected at least 2, since things should move")
        if stride is not None and (isinstance(stride, bool) or stride < 0):
            raise InputError(f"stride is {stride}: expected at least 1, or 0 to spread the frames over the whole clip")
        self.num_frames, self.how = num_frames, how
        self.stride = self.own_stride if stride is None else stride
        wanted = self.own_tracker if tracker is None else tracker
        self.tracker = None if wanted is None else get_tracker(wanted)
        self.names: tuple[str, ...] = ()
        self.missing: tuple[str, ...] = ()

    @abstractmethod
    def load(self, name: str) -> Sample:
        """Read one sample by its name; InputError says what is wrong with it."""

    def identity(self, name: str) -> dict[str, object]:
        """All that a result on a sample depends on, as plain values, with a hash of its pictures and boxes.

        Raises:
            InputError: the sample cannot be read.
        """
        sample = self.load(name)
        digest = hashlib.sha256()
        for frames in (sample.first_frame, sample.clip):
            if frames is not None:
                digest.update((frames * 255).round().byte().contiguous().numpy())
        boxes = sample.trajectories.boxes(self.num_frames)
        digest.update(boxes.mul(100).round().int().contiguous().numpy())
        return self._place(name) | {"content": digest.hexdigest()[:16]}

    def _place(self, name: str) -> dict[str, object]:
        return {"dataset": self.kind, "sample": name, "size": list(self.size), "frames": self.num_frames}

    def _sample(
        self,
        name: str,
        clip: Video,
        fit: Fit,
        boxes: Sequence[Tensor],
        labels: Sequence[str],
        visible: Bool[Tensor, "boxes frames"],
        dropped: Counter[str],
        margin: float | None = None,
        **meta: object,
    ) -> Sample:
        """A sample of the objects that can be controlled and judged; the others are counted in `dropped`.

        `boxes` has (frames, 4) in pixels of the clip for each object.

        InputError where none is left.
        """
        reasons = [screen(path, self.size, margin) for path in boxes]
        dropped.update(reason for reason in reasons if reason)
        kept = [k for k, reason in enumerate(reasons) if reason is None]
        if not kept:
            why = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "there was none"
            raise InputError(f"{name} has no object to follow ({why}): expected at least one, so leave it out")
        trajectories = tuple(Trajectory.from_boxes(boxes[k].float(), name=labels[k]) for k in kept)
        meta |= {"source_size": list(fit.source), "dropped": dict(dropped), "objects": [labels[k] for k in kept]}
        return Sample(name, clip[0], Trajectories(self.size, trajectories), clip, visible[kept], meta)

    def __len__(self) -> int:
        """How many samples it lists."""
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        """Its samples in order, each read when it is asked for. It stops at the first that is damaged."""
        return (self.load(name) for name in self.names)

    def __getitem__(self, which: str | int) -> Sample:
        """One sample, by its name or its place. InputError if there is none."""
        if isinstance(which, int):
            if not -len(self) <= which < len(self):
                raise InputError(f"there is no sample {which}: this {self.kind} data set has {len(self)}, from 0 on")
            return self.load(self.names[which])
        if which not in self.names:
            some = ", ".join(self.names[:3]) + (", ..." if len(self) > 3 else "")
            raise InputError(f"there is no sample {which!r} in this {self.kind} data set: expected one of {some}")
        return self.load(which)


def screen(path: Tensor, size: tuple[int, int], margin: float | None = None) -> str | None:
    """Why an object cannot be controlled or judged; None where it can.

    * "outside": the centre of its first box is not on the picture, so there is little to take its look from;
    * "small": its first box is narrower than `LEAST_SIDE` pixels;
    * "far outside": its centre goes farther out of the picture than `margin`. Some released tracks of VIPSeg do.

    Args:
        path: boxes (frames, 4) in pixels of a picture of `size`.
        size: (width, height).
        margin: in sides of the picture; None for any distance.
    """
    sides = torch.tensor(size, dtype=torch.float32)
    centers = (path[:, :2] + path[:, 2:]) / 2 / sides
    if not ((centers[0] >= 0) & (centers[0] <= 1)).all():
        return "outside"
    if (path[0, 2:] - path[0, :2]).min() < LEAST_SIDE:
        return "small"
    inside = margin is None or bool(((centers >= -margin) & (centers <= 1 + margin)).all())
    return None if inside else "far outside"
