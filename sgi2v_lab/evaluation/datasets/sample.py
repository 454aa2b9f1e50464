"""The interface of all data sets: samples of one size and length, listed at once and read one by one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.evaluation.trackers.track import get_tracker
from sgi2v_lab.evaluation.trackers.tracks import PointTracker
from sgi2v_lab.files import as_path
from sgi2v_lab.images.resize import FITS, check_size
from sgi2v_lab.shapes import Boxes, Image, Video
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.video import as_frames

__all__ = ["Dataset", "Sample"]


@dataclass(frozen=True)
class Sample:
    """A picture, the boxes to follow, and the true video where there is one.

    Attributes:
        name: its name in its data set, in files and in tables.
        first_frame: (3, height, width), values 0..1.
        trajectories: the boxes to follow, in pixels of `first_frame`; `trajectories.boxes(num_frames)` gives them.
        clip: the true video (num_frames, 3, height, width), which begins with `first_frame`; None if there is none.
        category: its group in a report.
        motion: the settings `fps` and `motion_bucket_id` that say how fast things move; empty if unknown.
        objects: boxes (objects, num_frames, 4) in pixels of what is not background, where the trajectories do not say
            it: in a camera pan they lie on the background.
    """

    name: str
    first_frame: Image
    trajectories: Trajectories
    clip: Video | None = None
    category: str = ""
    motion: dict[str, int] = field(default_factory=dict)
    objects: Boxes | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(ABC):
    """Samples by name, `len`, and iteration, which stops at the first damaged sample.

    Attributes:
        folder: where the data set lies; None for the benchmark, which is drawn.
        size: (width, height) of every sample.
        num_frames: of every clip and box, at least 2.
        how: how pictures are fitted to `size`: "stretch" (as SG-I2V's reference implementation does), "crop" or "pad".
        stride: take every `stride`-th frame of a clip; None spreads the frames over the whole clip.
        tracker: a point tracker or its name in `trackers.track.TRACKERS`; None for the data set's own choice.
        sources: each listed name with what it takes to read the sample; None where the file is missing.

    A subclass adds its own options as fields, and says in `unused` which of these it has no use for.
    """

    kind: ClassVar[str]
    holds: ClassVar[str]  # what its folder should hold, for messages
    unused: ClassVar[tuple[str, ...]] = ()

    folder: str | Path | None = None
    size: tuple[int, int]
    num_frames: int
    how: str = "stretch"
    stride: int | None = 1
    tracker: str | PointTracker | None = None
    sources: Mapping[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options and list the samples."""
        for option in fields(self):
            if option.name in self.unused and (value := getattr(self, option.name)) != option.default:
                raise InputError(f"the data set {self.kind!r} has no use for {option.name}={value}: leave it out")
        if "folder" not in self.unused:
            folder = self.folder and as_path(self.folder, f"a folder of {self.holds}")
            if not folder or not folder.is_dir():
                raise InputError(f"the folder of {self.kind!r} is {self.folder}: expected a folder of {self.holds}")
            object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "size", check_size(self.size, "the size of the samples"))
        whole_number(self.num_frames, "num_frames", 2)
        whole_number(1 if self.stride is None else self.stride, "stride", 1)
        if self.how not in FITS:
            raise InputError(f"unknown way to fit a picture {self.how!r}: expected one of {', '.join(FITS)}")
        get_tracker(self.tracker)
        object.__setattr__(self, "sources", self._list())
        if not self.names:
            lost = f" ({len(self.missing)} on its list are missing, such as {self.missing[0]})" if self.missing else ""
            raise InputError(f"{self.folder} holds no samples of {self.kind!r}{lost}: expected {self.holds}")

    @abstractmethod
    def _list(self) -> dict[str, Any]:
        """The `sources`."""

    @abstractmethod
    def _read(self, name: str) -> Sample:
        """Read a sample that is there."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names on the data set's list for which there is no file: no error, since many videos left the web."""
        return tuple(name for name, source in self.sources.items() if source is None)

    @property
    def names(self) -> tuple[str, ...]:
        """The samples' names, in order."""
        return tuple(name for name, source in self.sources.items() if source is not None)

    def load(self, name: str) -> Sample:
        """Read one sample by its name. InputError if there is none, or if it is damaged."""
        if name not in self.names:
            some = ", ".join(self.names[:3])
            raise InputError(f"{self.kind!r} has no sample {name!r}: expected one of its {len(self)}, such as {some}")
        try:
            return self._read(name)
        except InputError as error:
            raise InputError(f"sample {name!r}: {error}") from None

    def identity(self, name: str) -> dict[str, object]:
        """Plain values that change whenever something changes that a result on this sample depends on."""
        common = {"dataset": self.kind, "sample": name, "size": list(self.size), "frames": self.num_frames}
        return common | self._content(name)

    def _content(self, name: str) -> dict[str, object]:
        """A hash of pictures in 8 bits, and of boxes in hundredths of a pixel."""
        sample = self.load(name)
        video = sample.first_frame[None] if sample.clip is None else sample.clip  # a clip begins with the first frame
        boxes = (sample.trajectories.boxes(self.num_frames).double() * 100).round().long()
        digest = sha256()
        for part in (as_frames(video), boxes):
            digest.update(repr(tuple(part.shape)).encode() + part.numpy().tobytes())
        return {"content": digest.hexdigest()[:16]}

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(name) for name in self.names)
