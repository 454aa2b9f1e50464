"""AVA: people in videos, boxed once a second."""

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import VIDEOS, list_pictures, read_moments, read_pictures
from sgi2v_lab.evaluation.datasets.layout import first_folder, read_rows
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.files import in_order
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.shapes import Video
from sgi2v_lab.trajectories.boxes import KeyBox, Trajectory
from sgi2v_lab.trajectories.geometry import Box

__all__ = ["AVA"]

SAME = 1e-6  # boxes of one person that differ by less are one
People = dict[int, dict[int, Box]]  # second -> person -> box in parts of the frame


class AVA(Dataset):
    """AVA Actions: 430 stretches of videos, with the people in them boxed at each second (Gu et al., CVPR 2018).

    Source: https://research.google.com/ava/download.html (ava_v2.2.zip); the videos come from
    https://github.com/cvdfoundation/ava-dataset.
    Terms: the annotations are under CC BY 4.0; the videos belong to their makers.

    Layout:

        ava/annotations/ava_val_v2.2.csv                      or without annotations/
        ava/annotations/ava_val_excluded_timestamps_v2.2.csv  optional: seconds to leave out
        ava/videos/1j20qq1JyX4.mp4                            videos, or else folders of frames, 30 per second:
        ava/frames/1j20qq1JyX4/1j20qq1JyX4_000001.jpg

    A line of the list, which has no header, is: video, second, x0, y0, x1, y1, action, person, where boxes are parts of
    the frame, 0 to 1, and a person has a line for each of its actions, the same box in all.

    A sample is a stretch of `seconds`, named VIDEO@SECOND, over which frames are spread evenly, and asks for all people
    who are boxed at each of its seconds; between the seconds their boxes are interpolated. Stretches do not overlap.
    Videos that the list names but that are not there are listed in `missing`.

    Args:
        seconds: length of a sample; 2 for Stable Video Diffusion's 14 frames at 7 per second.
        split: of the list's name.
        offset: the second of the video at which the file begins: 0 for whole videos, 900 for the usual cut from minute
            15 to 30, which frames mostly come from.
        fps: of folders of frames.
    """

    kind: ClassVar[str] = "ava"

    def __init__(
        self,
        folder: str | Path,
        *,
        seconds: int = 2,
        split: str = "val",
        offset: float | int = 0,
        fps: float | int = 30,
        **shared: Any,
    ) -> None:
        super().__init__(folder, **shared)
        if seconds < 1 or offset < 0 or fps <= 0:
            raise InputError(
                f"seconds is {seconds}, offset {offset} and fps {fps}: expected at least 1 s, 0 s and more than 0"
            )
        self.seconds, self.offset, self.fps = seconds, offset, fps
        clips = first_folder(self.folder, ("videos", "frames"), "the videos")
        lists = self.folder / "annotations" if (self.folder / "annotations").is_dir() else self.folder
        self.people = _read_people(lists / f"ava_{split}_v2.2.csv")
        excluded = lists / f"ava_{split}_excluded_timestamps_v2.2.csv"
        left_out = _read_excluded(excluded) if excluded.is_file() else set()
        self.videos = {
            path.name if path.is_dir() else path.stem: path
            for path in in_order(clips.iterdir())
            if path.is_dir() or path.suffix.lower() in VIDEOS
        }
        self.missing = tuple(video for video in self.people if video not in self.videos)
        self.starts = {
            f"{video}@{start:04d}": (video, start)
            for video, people in self.people.items()
            if video in self.videos
            for start in _stretches(people, seconds, {second for name, second in left_out if name == video})
        }
        self.names = tuple(self.starts)
        if not self.names:
            raise InputError(
                f"no stretch of {seconds} s with a person boxed throughout is left of the {len(self.people)} videos "
                f"in the list, {len(self.missing)} of which are not in {clips}: expected some, so fetch videos or ask "
                "for fewer seconds"
            )

    def load(self, name: str) -> Sample:
        """Read the frames of one stretch, and the boxes of the people in it."""
        video, start = self.starts[name]
        clip, fit, frames = self._read(self.videos[video], start)
        people = self.people[video]
        there = _throughout(people, start, self.seconds)
        boxes = [self._path(people, person, start, fit).boxes(self.num_frames) for person in there]
        return self._sample(
            name,
            clip,
            fit,
            boxes,
            [f"person {person}" for person in there],
            torch.ones(len(there), self.num_frames, dtype=torch.bool),
            Counter(),
            source=str(self.videos[video]),
            frames=frames,
            second=start,
        )

    def _path(self, people: People, person: int, start: int, fit: Fit) -> Trajectory:
        """A person's boxes, interpolated between the seconds."""
        sides = (*fit.source, *fit.source)
        boxes = [people[start + k][person] for k in range(self.seconds + 1)]
        scaled = [tuple(v * side for v, side in zip(box, sides, strict=True)) for box in boxes]
        return Trajectory(tuple(KeyBox(k / self.seconds, box) for k, box in enumerate(scaled))).fitted(fit)

    def _read(self, path: Path, start: int) -> tuple[Video, Fit, list[float | int]]:
        """The frames of a stretch: of a video by their times in seconds, of a folder of frames by their places."""
        times = [start - self.offset + k * self.seconds / (self.num_frames - 1) for k in range(self.num_frames)]
        if times[0] < 0:
            raise InputError(
                f"{path} begins at second {self.offset:g} of its video, and second {start} is wanted: expected an "
                "earlier beginning, so check offset="
            )
        if not path.is_dir():
            return *read_moments(path, times, self.size, self.how), times
        pictures = list_pictures(path)
        places = [round(time * self.fps) for time in times]
        if places[-1] >= len(pictures):
            raise InputError(
                f"{path} has {len(pictures)} frames, and frame {places[-1]} is wanted (second {start + self.seconds} "
                f"at {self.fps:g} per second): expected more, so check fps= and offset="
            )
        return *read_pictures([pictures[place] for place in places], self.size, self.how), places


# --- the lists -------------------------------------------------------------------------------------------------------


def _read_people(path: Path) -> dict[str, People]:
    people: dict[str, People] = {}
    for where, row in read_rows(path, "AVA's boxes, a line for each person, second and action"):
        if len(row) != 8:
            raise InputError(
                f"{where} has {len(row)} values: expected 8 (video, second, x0, y0, x1, y1, action, person), so take a "
                "list of AVA 2.1 or later"
            )
        try:
            second, person = int(row[1]), int(row[7])
            x0, y0, x1, y1 = box = tuple(float(value) for value in row[2:6])
        except ValueError as error:
            raise InputError(f"{where} holds something that is no number ({error}): expected numbers") from None
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise InputError(
                f"{where} has the box {', '.join(row[2:6])}: expected parts of the frame, 0 to 1, with x0 < x1 and "
                "y0 < y1"
            )
        known = people.setdefault(row[0], {}).setdefault(second, {}).setdefault(person, box)
        if any(abs(a - b) > SAME for a, b in zip(known, box, strict=True)):
            raise InputError(f"{where} has another box for person {person} than a line before: expected one a second")
    return people


def _read_excluded(path: Path) -> set[tuple[str, int]]:
    found = set()
    for where, row in read_rows(path, "seconds to leave out"):
        if len(row) != 2 or not row[1].isdecimal():
            raise InputError(f"{where} is {','.join(row)!r}: expected a video and a second")
        found.add((row[0], int(row[1])))
    return found


def _throughout(people: People, start: int, seconds: int) -> list[int]:
    """Who is boxed at each second of a stretch."""
    moments = [set(people.get(start + k, {})) for k in range(seconds + 1)]
    return sorted(set.intersection(*moments))


def _stretches(people: People, seconds: int, excluded: set[int]) -> list[int]:
    """Starts of stretches that do not overlap, touch no excluded second and have somebody in them throughout."""
    starts: list[int] = []
    for second in sorted(people):
        if starts and second < starts[-1] + seconds:
            continue
        if any(second + k in excluded for k in range(seconds + 1)):
            continue
        if _throughout(people, second, seconds):
            starts.append(second)
    return starts
