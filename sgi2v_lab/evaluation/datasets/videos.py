"""Any folder of videos, with trajectories beside them, or with what a tracker sees moving."""

from pathlib import Path
from typing import ClassVar

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import ANIMATIONS, PICTURES, VIDEOS, by_number, check_stride, read_clip
from sgi2v_lab.evaluation.datasets.following import Follower, moving_boxes
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.trackers.track import get_tracker
from sgi2v_lab.shapes import Video
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.files import load_trajectories

__all__ = ["Videos", "sample_of_moving"]

SIDE_FILES = (".json", ".npy")


class Videos(Dataset):
    """A folder of your own videos.

    Layout: videos (mp4, avi, mov, mkv, webm, ...), animations (gif, webp) and folders of pictures, each with or without
    a file of trajectories of the same name:

        videos/walk.mp4      videos/walk.json        as `sgi2v_lab.trajectories.json_format` describes
        videos/run.gif       videos/run.npy          as the reference implementation's traj.npy
        videos/jump/00.png   videos/jump.json

    Trajectories are in pixels of the video; their time, 0 to 1, is that of the frames taken. A .npy, and a .json that
    was made for one number of frames, must be for as many as are asked for, unless `resample`. Videos without a file
    need a `tracker`.

    Args:
        folder: of the videos.
        size: (width, height) of the samples.
        num_frames: of each.
        tracker: a point tracker for videos without trajectories, such as `sgi2v_lab.evaluation.trackers.track.lk`.
        how: "stretch", "crop" or "pad".
        stride: see `sgi2v_lab.evaluation.datasets.clips`; by default the frames are spread over the whole video.
        resample: allow trajectories that were made for another number of frames.
        most: at most so many tracked boxes in each video.
        side: of tracked boxes, in shorter sides of the picture.
        least: how far a thing must go to count as moving, in shorter sides of the picture.
    """

    kind: ClassVar[str] = "videos"

    def __init__(
        self,
        folder: str | Path,
        *,
        size: tuple[int, int],
        num_frames: int,
        tracker: str | Follower | None = "lk",
        how: str = "stretch",
        stride: int | None = None,
        resample: bool = False,
        most: int = 3,
        side: float | int = 0.25,
        least: float = 0.05,
    ) -> None:
        super().__init__(folder, size, num_frames)
        self.tracker = None if tracker is None else get_tracker(tracker)
        self.how, self.stride, self.resample = how, check_stride(stride), resample
        self.most, self.side, self.least = most, side, least
        self.clips: dict[str, Path] = {}
        for path in sorted(self.folder.iterdir(), key=lambda path: by_number(path.name)):
            if _is_clip(path):
                name = path.name if path.is_dir() else path.stem
                if name in self.clips:
                    raise InputError(f"{self.clips[name]} and {path} have one name: expected different ones, so rename")
                self.clips[name] = path
        self.names = tuple(self.clips)
        if not self.names:
            raise InputError(
                f"{self.folder} holds no videos: expected {', '.join((*VIDEOS, *ANIMATIONS))}, or folders of frames"
            )

    def load(self, name: str) -> Sample:
        """Read some frames of one video, and its trajectories or what moves in it."""
        path = self.clips[name]
        clip, fit, picked = read_clip(path, self.size, self.how, self.num_frames, self.stride)
        meta = {
            "dataset": self.kind,
            "source": str(path),
            "source_size": list(fit.source),
            "frames": picked,
            "dropped": {},
        }
        beside = [self.folder / f"{name}{suffix}" for suffix in SIDE_FILES]
        files = [file for file in beside if file.is_file()]
        if files:
            trajectories = load_trajectories(files[0], fit.source, resample=self.resample).fitted(fit)
            trajectories.validate(self.num_frames)
            return Sample(name, clip[0], trajectories, clip, None, {**meta, "trajectories": str(files[0])})
        if self.tracker is None:
            raise InputError(
                f"{path} has no trajectories beside it: expected {beside[0].name} or {beside[1].name}, or a tracker="
            )
        return sample_of_moving(name, clip, self.tracker, meta, most=self.most, side=self.side, least=self.least)


def sample_of_moving(
    name: str,
    clip: Video,
    tracker: Follower,
    meta: dict[str, object],
    *,
    most: int,
    side: float | int,
    least: float,
) -> Sample:
    """A sample that asks for what a tracker sees moving; see `moving_boxes`, whose faults get the source's name."""
    try:
        moving = moving_boxes(clip, tracker, most=most, side=side, least=least)
    except InputError as error:
        raise InputError(f"{meta['source']}: {error}") from None
    trajectories = Trajectories.from_boxes((clip.shape[-1], clip.shape[-2]), moving.boxes)
    seen = torch.ones(moving.boxes.shape[:2], dtype=torch.bool)
    return Sample(name, clip[0], trajectories, clip, seen, {**meta, "moves_against": moving.against})


def _is_clip(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return any(inner.suffix.lower() in PICTURES for inner in path.iterdir())
    return path.suffix.lower() in (*VIDEOS, *ANIMATIONS)
