"""Any folder of videos, with trajectories beside them, or with what a tracker sees moving."""

from pathlib import Path
from typing import Any, ClassVar

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import ANIMATIONS, PICTURES, VIDEOS, read_clip
from sgi2v_lab.evaluation.datasets.moving import moving_boxes
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.files import in_order
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.files import load_trajectories

__all__ = ["Videos", "sample_of_moving"]

SIDE_FILES = (".json", ".npy")
MOST = 3  # boxes that a tracker finds in each video


class Videos(Dataset):
    """A folder of your own videos.

    Layout: videos (mp4, avi, mov, mkv, webm, ...), animations (gif, webp) and folders of pictures, each with or without
    a file of trajectories of the same name:

        videos/walk.mp4      videos/walk.json        as `sgi2v_lab.trajectories.json_format` describes
        videos/run.gif       videos/run.npy          as the reference implementation's traj.npy
        videos/jump/00.png   videos/jump.json

    Trajectories are in pixels of the video; their time, 0 to 1, is that of the frames taken. In a video without a file,
    the tracker finds what moves. By default the frames are spread over the whole video.

    Args:
        resample: allow trajectories that were made for another number of frames.
        most: at most so many tracked boxes in each video.
    """

    kind: ClassVar[str] = "videos"
    own_stride: ClassVar[int] = 0
    own_tracker: ClassVar[str] = "lk"

    def __init__(self, folder: str | Path, *, resample: bool = False, most: int = MOST, **shared: Any) -> None:
        super().__init__(folder, **shared)
        self.resample, self.most = resample, most
        self.clips: dict[str, Path] = {}
        for path in in_order(self.folder.iterdir()):
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
        beside = [self.folder / f"{name}{suffix}" for suffix in SIDE_FILES]
        files = [file for file in beside if file.is_file()]
        if not files:
            return sample_of_moving(self, name, path, self.most)
        clip, fit, picked = read_clip(path, self.size, self.how, self.num_frames, self.stride)
        trajectories = load_trajectories(files[0], fit.source, resample=self.resample).fitted(fit)
        trajectories.validate(self.num_frames)
        meta = {"source": str(path), "source_size": list(fit.source), "frames": picked, "dropped": {}}
        return Sample(name, clip[0], trajectories, clip, meta={**meta, "trajectories": str(files[0])})


def sample_of_moving(dataset: Dataset, name: str, path: Path, most: int = MOST, **meta: object) -> Sample:
    """A sample that asks for what the data set's tracker sees moving in a clip; see `moving_boxes`."""
    clip, fit, picked = read_clip(path, dataset.size, dataset.how, dataset.num_frames, dataset.stride)
    try:
        moving = moving_boxes(clip, dataset.tracker, most=most)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    trajectories = Trajectories.from_boxes((clip.shape[-1], clip.shape[-2]), moving.boxes)
    meta |= {"source": str(path), "source_size": list(fit.source), "frames": picked, "dropped": {}}
    return Sample(name, clip[0], trajectories, clip, meta={**meta, "moves_against": moving.against})


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(inner.suffix.lower() in PICTURES for inner in in_order(path.iterdir()))
    return path.suffix.lower() in (*VIDEOS, *ANIMATIONS)
