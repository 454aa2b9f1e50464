"""Kinetics: clips of people doing things, as they were downloaded from the web, with what a tracker sees moving."""

from pathlib import Path
from typing import Any, ClassVar

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import VIDEOS
from sgi2v_lab.evaluation.datasets.layout import first_folder, read_rows
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.datasets.videos import MOST, sample_of_moving

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

    There are no boxes: the tracker finds what moves (`moving_boxes`), so what is asked for is only as good as the
    tracker. The stride is 4, which makes about 7 frames of the usual 25 to 30 per second.

    Args:
        split: the folder's name and the list's.
        most: at most so many boxes in each clip.
    """

    kind: ClassVar[str] = "kinetics"
    own_stride: ClassVar[int] = 4
    own_tracker: ClassVar[str] = "lk"

    def __init__(self, folder: str | Path, *, split: str = "val", most: int = MOST, **shared: Any) -> None:
        super().__init__(folder, **shared)
        self.most = most
        clips = first_folder(self.folder, (split,), "the clips")
        videos = {path.stem: path for path in sorted(clips.rglob("[!.]*")) if path.suffix.lower() in VIDEOS}
        lists = (self.folder / "annotations" / f"{split}.csv", self.folder / f"{split}.csv")
        self.rows = _read_rows(next((path for path in lists if path.is_file()), lists[0]))
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
        return sample_of_moving(self, name, self.videos[name], self.most, label=self.rows[name].get("label"))


def _read_rows(path: Path) -> dict[str, dict[str, str]]:
    """The list's rows by the names of their clips."""
    (_, header), *rows = read_rows(path, f"the columns {', '.join(NEEDED)}, then a line for each clip")
    if lacking := [column for column in NEEDED if column not in header]:
        raise InputError(
            f"the list {path} has the columns {', '.join(header)}: expected {', '.join(lacking)} as well, in the first "
            "line"
        )
    if not rows:
        raise InputError(f"the list {path} is empty: expected a line for each clip")
    found = {}
    for where, values in rows:
        if len(values) != len(header):
            raise InputError(f"{where} has more or fewer values than there are columns: expected one for each")
        row = dict(zip(header, values, strict=True))
        found["{}_{:06d}_{:06d}".format(row["youtube_id"], *_seconds(row, where))] = row
    return found


def _seconds(row: dict[str, str], where: str) -> tuple[int, int]:
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
    return start, end
