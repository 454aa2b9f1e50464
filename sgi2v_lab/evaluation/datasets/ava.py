"""AVA: people in videos, boxed once a second."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.evaluation.datasets.clips import join_frames, video_frames_at
from sgi2v_lab.evaluation.datasets.files import VIDEOS, entries, first_folder, read_rows
from sgi2v_lab.evaluation.datasets.objects import screen
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.geometry import Box

__all__ = ["AVA"]

People = dict[int, dict[int, Box]]  # second -> person -> box in parts of the frame
Stretch = tuple[int, dict[int, list[Box]]]  # first second, and the boxes of each person at each of its seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class AVA(Dataset):
    """AVA Actions: 15 minutes of each of 430 films, with the people boxed once a second (Gu et al., CVPR 2018).

    Source: https://research.google.com/ava/download.html (ava_v2.2.zip); the videos come from
    https://github.com/cvdfoundation/ava-dataset.
    Terms: the annotations are under CC BY 4.0; the videos belong to their makers.

    Layout:

        ava/annotations/ava_val_v2.2.csv                      or without annotations/, or v2.1
        ava/annotations/ava_val_excluded_timestamps_v2.2.csv  optional: seconds to leave out
        ava/videos/1j20qq1JyX4.mp4                            whole, so that a second of the list is one of the file

    A sample is a stretch of some seconds, named VIDEO@SECOND, with the frames spread evenly over it and the boxes of
    all people who are boxed at each of its seconds, interpolated in between. Stretches do not overlap. Videos that the
    list names but that are not there are in `missing`.

    Options:
        split: of the list's name.
        seconds: length of a sample; 2 for Stable Video Diffusion's 14 frames at 7 per second.
    """

    kind: ClassVar[str] = "ava"
    holds: ClassVar[str] = "videos with a person boxed throughout a sample, so fetch more or choose fewer seconds"
    unused: ClassVar[tuple[str, ...]] = ("stride", "tracker")

    split: str = "val"
    seconds: int = 2

    def _list(self) -> dict[str, tuple[Path, Stretch] | None]:
        whole_number(self.seconds, "seconds", 1)
        found = entries(first_folder(self.folder, ("videos",), "the videos"))
        clips = {path.stem: path for path in found if path.suffix.lower() in VIDEOS}
        folder = first_folder(self.folder, ("annotations", "."), "the lists")
        version = next((v for v in ("2.2", "2.1") if (folder / f"ava_{self.split}_v{v}.csv").is_file()), "2.2")
        excluded = _read_excluded(folder / f"ava_{self.split}_excluded_timestamps_v{version}.csv")
        everybody = _read_people(folder / f"ava_{self.split}_v{version}.csv")
        listed: dict[str, tuple[Path, Stretch] | None] = {video: None for video in everybody if video not in clips}
        for video, path in clips.items():
            for stretch in _stretches(everybody.get(video, {}), self.seconds, excluded[video]):
                listed[f"{video}@{stretch[0]:04d}"] = (path, stretch)
        return listed

    def _read(self, name: str) -> Sample:
        path, (start, people) = self.sources[name]
        times = [start + k * self.seconds / (self.num_frames - 1) for k in range(self.num_frames)]
        clip, fit = join_frames(video_frames_at(path, times), self.size, self.how, path)
        paths = []
        for person, boxes in people.items():
            pixels = torch.tensor(boxes, dtype=torch.float64) * torch.tensor(fit.source * 2)
            paths.append(Trajectory.from_boxes(fit.apply(pixels), resample=True, name=f"person {person}"))
        kept = screen(Trajectories(self.size, tuple(paths)).boxes(self.num_frames), self.size)
        asked = Trajectories(self.size, tuple(paths[k] for k in kept))
        return Sample(name, clip[0], asked, clip, self.kind)


def _read_people(path: Path) -> dict[str, People]:
    """The people of each video."""
    people: dict[str, People] = {}
    columns = "video, second, x0, y0, x1, y1, action, person"
    for where, row in read_rows(path, f"AVA's boxes, with the columns {columns}"):
        try:
            video, second, x0, y0, x1, y1, _, person = row
            x0, y0, x1, y1 = box = float(x0), float(y0), float(x1), float(y1)
            boxes = people.setdefault(video, {}).setdefault(int(second), {})
            known = boxes.setdefault(int(person), box)
        except ValueError:
            x0 = x1 = 0
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            wanted = f"{columns}, with boxes in parts of the frame (x0 < x1, y0 < y1), as in AVA 2.1 or later"
            raise InputError(f"{where} is {', '.join(row)}: expected {wanted}")
        if any(abs(a - b) > 1e-6 for a, b in zip(known, box, strict=True)):
            raise InputError(f"{where} has another box for person {person} than a line before: expected one a second")
    return people


def _read_excluded(path: Path) -> dict[str, set[int]]:
    """The seconds to leave out of each video; none if there is no such list."""
    found: dict[str, set[int]] = defaultdict(set)
    for where, row in read_rows(path, "seconds to leave out") if path.is_file() else ():
        if len(row) != 2 or not row[1].isdecimal():
            raise InputError(f"{where} is {','.join(row)!r}: expected a video and a second")
        found[row[0]].add(int(row[1]))
    return found


def _stretches(people: People, seconds: int, excluded: set[int]) -> list[Stretch]:
    """The stretches of a video with somebody in them throughout; none overlap or touch an excluded second."""
    found: list[Stretch] = []
    for start in sorted(people):
        span = range(start, start + seconds + 1)
        if (found and start < found[-1][0] + seconds) or not excluded.isdisjoint(span):
            continue
        moments = [people.get(second, {}) for second in span]
        if throughout := set(moments[0]).intersection(*moments):
            found.append((start, {who: [moment[who] for moment in moments] for who in sorted(throughout)}))
    return found
