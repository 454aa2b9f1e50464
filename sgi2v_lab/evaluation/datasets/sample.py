"""What a data set gives: one sample after the other, each a picture, what is asked of it, and what truly happened.

All data sets are read the same way. They are listed when they are opened, and decoded when a sample is asked for:

    dataset = open_dataset("davis-2017", "DAVIS", size=(128, 128), num_frames=8)
    len(dataset), dataset.names
    sample = dataset["bear"]
    for sample in dataset: ...
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.layout import existing_folder
from sgi2v_lab.images.resize import check_size
from sgi2v_lab.shapes import Boxes, Image, Video
from sgi2v_lab.trajectories.boxes import Trajectories

__all__ = ["Dataset", "Sample", "usable"]


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
        meta: where it comes from, as plain values: "dataset", "source", "source_size", "frames" (which of the
            source were taken), "dropped" (reason -> objects left out), and more by data set.
        category: its group in a report.
        motion: the settings `fps` and `motion_bucket_id` that say how fast things move; empty if nobody knows.
        objects: boxes (objects, frames, 4) of what is not background, where the trajectories do not say it: in a
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

    Iteration stops at the first sample that is damaged; `usable` leaves such samples out.

    Attributes:
        kind: what `open_dataset` calls it.
        folder: where it lies; None for one that is drawn.
        size: (width, height) of every sample.
        num_frames: of every clip and box.
        names: of its samples, in order.
        missing: names that its list has, but for which there is no file: not an error, since much of what once was on
            the web is gone.
    """

    kind: ClassVar[str]

    def __init__(self, folder: str | Path | None, size: tuple[int, int], num_frames: int) -> None:
        self.folder = None if folder is None else existing_folder(Path(folder), f"the {self.kind} data set")
        self.size = check_size(size, "the size of the samples")
        if isinstance(num_frames, bool) or num_frames < 2:
            raise InputError(f"the number of frames is {num_frames}: expected at least 2, since things should move")
        self.num_frames = num_frames
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
        digest.update(sample.trajectories.boxes(self.num_frames).mul(100).round().int().contiguous().numpy())
        return self._place(name) | {"content": digest.hexdigest()[:16]}

    def _place(self, name: str) -> dict[str, object]:
        return {"dataset": self.kind, "sample": name, "size": list(self.size), "frames": self.num_frames}

    def __len__(self) -> int:
        """How many samples it lists."""
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        """Its samples in order, each read when it is asked for."""
        return (self.load(name) for name in self.names)

    def __contains__(self, name: object) -> bool:
        """Whether it lists a sample of that name."""
        return name in self.names

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


def usable(dataset: Dataset) -> Iterator[Sample]:
    """The samples that can be read, without the damaged ones, which `describe` lists with their faults."""
    for name in dataset.names:
        try:
            sample = dataset.load(name)
        except InputError:
            continue
        yield sample
