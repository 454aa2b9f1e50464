"""Kinetics: clips of people doing things, as they were downloaded from the web, with what a tracker sees moving."""

import csv
from pathlib import Path
from typing import ClassVar

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import VIDEOS, check_stride, read_clip
from sgi2v_lab.evaluation.datasets.following import Follower
from sgi2v_lab.evaluation.datasets.layout import first_folder
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.datasets.videos import sample_of_moving
from sgi2v_lab.evaluation.trackers.track import get_tracker

__all__ = ["Kinetics"]

NEEDED = ("youtube_id", "time_start", "time_end")


class Kinetics(Dataset):
    """Kinetics-400, -600 and -700: clips of about ten seconds from YouTube (Kay et al., arXiv 1705.06950).

    Source: the lists https://s3.amazonaws.com/kinetics/400/annotations/val.csv (600 and 700_2020 likewise); the clips
    come by the scripts of https://github.com/cvdfoundation/kinetics-dataset.
    Terms: the annotations are under CC BY 4.0; the clips belong to those who put them on YouTube.

    Layout, with or without a folder for each class:

        kinetics/val/abseiling/0wR5jVB-WPk_000417_000427.mp4
        kinetics/annotations/val.csv                 or kinetics/val.csv

    The list has a header and the columns youtube_id, time_start, time_end, and mostly label and split. Clips that it
    names but that are not there are listed in `missing`, since many have gone from the web.

    There are no boxes: `tracker` finds what moves, see `following.moving_boxes`. So what is asked
    for is only as good as the tracker.

    Args:
        folder: kinetics.
        size: (width, height) of the samples.
        num_frames: of each.
        tracker: a point tracker, such as `sgi2v_lab.evaluation.trackers.track.lk`.
        split: the folder's name and the list's.
        how: "stretch", "crop" or "pad".
        stride: see `sgi2v_lab.evaluation.datasets.clips`; 4 makes about 7 frames of the usual 25 to 30 per second.
        most: at most so many boxes in each clip.
        side: of the boxes, in shorter sides of the picture.
        least: how far a thing must go to count as moving, in shorter sides of the picture.
    """

    kind: ClassVar[str] = "kinetics"

    def __init__(
        self,
        folder: str | Path,
        *,
        size: tuple[int, int],
        num_frames: int,
        tracker: str | Follower = "lk",
        split: str = "val",
        how: str = "stretch",
        stride: int | None = 4,
        most: int = 3,
        side: float | int = 0.25,
        least: float = 0.05,
    ) -> None:
        super().__init__(folder, size, num_frames)
        self.tracker, self.how, self.stride = get_tracker(tracker), how, check_stride(stride)
        self.most, self.side, self.least = most, side, least
        clips = first_folder(self.folder, (split,), "the clips")
        videos = {path.stem: path for path in sorted(clips.rglob("*")) if path.suffix.lower() in VIDEOS}
        rows = _read_rows(next((path for path in self._lists(split) if path.is_file()), self._lists(split)[0]))
        self.rows = {f"{row['youtube_id']}_{row['time_start']:06d}_{row['time_end']:06d}": row for row in rows}
        self.videos = {name: videos[name] for name in self.rows if name in videos}
        self.names = tuple(self.videos)
        self.missing = tuple(name for name in self.rows if name not in videos)
        if not self.names:
            raise InputError(
                f"none of the {len(self.rows)} clips of the list is in {clips}: expected names such as "
                f"{self.missing[0]}.mp4, with or without a folder for each class"
            )

    def load(self, name: str) -> Sample:
        """Read some frames of one clip, and find what moves in it."""
        path, row = self.videos[name], self.rows[name]
        clip, fit, picked = read_clip(path, self.size, self.how, self.num_frames, self.stride)
        meta = {
            "dataset": self.kind,
            "source": str(path),
            "source_size": list(fit.source),
            "frames": picked,
            "label": row.get("label"),
            "dropped": {},
        }
        return sample_of_moving(name, clip, self.tracker, meta, most=self.most, side=self.side, least=self.least)

    def _lists(self, split: str) -> tuple[Path, ...]:
        return self.folder / "annotations" / f"{split}.csv", self.folder / f"{split}.csv"


def _read_rows(path: Path) -> list[dict[str, object]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if lacking := [column for column in NEEDED if column not in header]:
                raise InputError(
                    f"the list {path} has the columns {', '.join(header) or 'of an empty file'}: expected "
                    f"{', '.join(lacking)} as well, in the first line"
                )
            rows = [_read_row(row, f"line {reader.line_num} of {path}") for row in reader]
    except FileNotFoundError:
        raise InputError(f"there is no list {path}: expected the clips of the split as a .csv") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the list {path} cannot be read ({error}): expected a .csv in UTF-8") from None
    if not rows:
        raise InputError(f"the list {path} is empty: expected a line for each clip")
    return rows


def _read_row(row: dict[str, object], where: str) -> dict[str, object]:
    if None in row or None in row.values():
        raise InputError(f"{where} has more or fewer values than there are columns: expected one for each, so mend it")
    try:
        start, end = (round(float(row[column])) for column in ("time_start", "time_end"))
    except (ValueError, OverflowError):
        raise InputError(
            f"{where} says that the clip goes from {row['time_start']!r} to {row['time_end']!r}: expected seconds"
        ) from None
    if not row["youtube_id"] or not 0 <= start < end:
        raise InputError(
            f"{where} says that clip {row['youtube_id']!r} goes from {start} s to {end} s: expected a name, and an end "
            "after its start"
        )
    return {**row, "time_start": start, "time_end": end}
