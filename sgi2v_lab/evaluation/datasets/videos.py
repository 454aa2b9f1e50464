"""Videos without annotations: Kinetics, and any folder of videos."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import read_clip
from sgi2v_lab.evaluation.datasets.files import ANIMATIONS, VIDEOS, entries, first_folder, list_pictures, read_rows
from sgi2v_lab.evaluation.datasets.moving import moving_boxes
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.trackers.track import get_tracker
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.files import load_trajectories

__all__ = ["Kinetics", "Videos"]

MOST = 3  # boxes that a tracker gives of a video


@dataclass(frozen=True, kw_only=True, eq=False)
class Videos(Dataset):
    """A folder of your own videos.

    Layout: videos (mp4, mov, ...), animations (gif, webp) and folders of pictures, each with or without a file of
    trajectories of the same name:

        videos/walk.mp4      videos/walk.json        as `sgi2v_lab.trajectories.json_format` describes
        videos/jump/00.png   videos/jump.npy         as the reference implementation's traj.npy

    Trajectories are in pixels of the video, and run from the first frame taken to the last. Without such a file,
    `tracker` finds what moves (`sgi2v_lab.evaluation.datasets.moving`); the boxes are then only as good as it is.

    Options:
        stride: None by default, which spreads the frames over the whole video.
        tracker: "lk" by default.
    """

    kind: ClassVar[str] = "videos"
    holds: ClassVar[str] = "videos (.mp4, .mov, ...), animations (.gif, .webp) or folders of pictures"

    stride: int | None = None

    def _list(self) -> dict[str, Path | None]:
        clips: dict[str, Path | None] = {}
        for path in self._clips():
            name = path.name if path.is_dir() else path.stem
            if name in clips:
                raise InputError(f"{clips[name]} and {path} have one name: expected different ones, so rename one")
            clips[name] = path
        return clips

    def _clips(self) -> list[Path]:
        suffixes = (*VIDEOS, *ANIMATIONS)
        return [p for p in entries(self.folder) if (list_pictures(p) if p.is_dir() else p.suffix.lower() in suffixes)]

    def _read(self, name: str) -> Sample:
        path = self.sources[name]
        clip, fit, _ = read_clip(path, self.size, self.how, self.num_frames, self.stride)
        files = (path.with_name(f"{name}{suffix}") for suffix in (".json", ".npy"))
        if file := next((file for file in files if file.is_file()), None):
            trajectories = load_trajectories(file, fit.source, resample=True).fitted(fit)
            trajectories.validate(self.num_frames)
        else:
            boxes = moving_boxes(clip, get_tracker(self.tracker or "lk"), MOST)
            trajectories = Trajectories.from_boxes(self.size, boxes)
        return Sample(name, clip[0], trajectories, clip, self.kind)


@dataclass(frozen=True, kw_only=True, eq=False)
class Kinetics(Videos):
    """Kinetics-400, -600 and -700: clips of about ten seconds from YouTube (Kay et al., arXiv 1705.06950).

    Source: the lists https://s3.amazonaws.com/kinetics/400/annotations/val.csv (600 and 700_2020 likewise); the clips
    come by the scripts of https://github.com/cvdfoundation/kinetics-dataset.
    Terms: the annotations are under CC BY 4.0; the clips belong to those who put them on YouTube.

    Layout, with or without a folder for each class:

        kinetics/val/abseiling/0wR5jVB-WPk_000417_000427.mp4
        kinetics/annotations/val.csv                 or kinetics/val.csv

    The list has the columns youtube_id, time_start and time_end. Clips that it names but that are not there are in
    `missing`. There are no boxes: they come from a tracker, as in the data set "videos".

    Options:
        split: the name of the folder and of the list.
        stride: 4 by default, about 7 frames of the usual 25 to 30 per second.
        tracker: as in "videos".
    """

    kind: ClassVar[str] = "kinetics"
    holds: ClassVar[str] = "clips named like ID_000010_000020.mp4, with or without a folder for each class"

    stride: int | None = 4
    split: str = "val"

    def _list(self) -> dict[str, Path | None]:
        clips = super()._list()
        lists = first_folder(self.folder, ("annotations", "."), "the lists")
        return {name: clips.get(name) for name in _read_names(lists / f"{self.split}.csv")}

    def _clips(self) -> list[Path]:
        folder = first_folder(self.folder, (self.split,), "the clips")
        return [path for path in entries(folder, "**/*") if path.suffix.lower() in VIDEOS]


def _read_names(path: Path) -> list[str]:
    """The clips' names in the order of the list."""
    (_, header), *rows = read_rows(path, "the clips of the split")
    names = []
    for where, row in rows:
        try:
            cells = dict(zip(header, row, strict=True))
            start, end = round(float(cells["time_start"])), round(float(cells["time_end"]))
        except (KeyError, ValueError, OverflowError):
            start = end = 0
        if not 0 <= start < end or not cells.get("youtube_id"):
            given = f"{','.join(row)!r} under {','.join(header)!r}"
            raise InputError(f"{where} is {given}: expected youtube_id, time_start and time_end, in seconds and rising")
        names.append(f"{cells['youtube_id']}_{start:06d}_{end:06d}")
    return names
