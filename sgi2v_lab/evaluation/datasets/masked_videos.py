"""Videos whose objects are outlined in every frame: DAVIS, and VIPSeg, the data set of SG-I2V's published numbers."""

import json
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import read_clip
from sgi2v_lab.evaluation.datasets.files import first_folder, list_pictures, read_lines
from sgi2v_lab.evaluation.datasets.objects import Masks, keep, largest_disc, read_mask, screen, trace
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.trackers.track import get_tracker
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.shapes import Boxes, Video
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory

__all__ = ["Davis", "VIPSeg"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedVideos(Dataset):
    """A list of videos, a folder of frames for each, and masks of the same names in another folder."""

    holds: ClassVar[str] = "videos with masks"
    margin: ClassVar[float | None] = None  # of `screen`

    split: str = "val"

    @abstractmethod
    def _places(self) -> tuple[Path, Path, Path]:
        """The folders of all pictures and of all masks, and the list of videos."""

    @abstractmethod
    def _follow(self, name: str, masks: Masks, clip: Video, fit: Fit, picked: list[int]) -> tuple[list[int], Boxes]:
        """The objects' numbers, and their boxes in pixels of the clip."""

    def _list(self) -> dict[str, tuple[Path, Path]]:
        images, masks, path = self._places()
        names = [line for line in read_lines(path, "names of videos, one a line") if line]
        if unknown := [name for name in names if not (images / name).is_dir()]:
            lack = f"{unknown[0]!r}, which {images} does not have ({len(unknown)} of {len(names)} are missing)"
            raise InputError(f"the list {path} names {lack}: expected all, so unpack the whole archive")
        return {name: (images / name, masks / name) for name in names}

    def _read(self, name: str) -> Sample:
        images, folder = self.sources[name]
        clip, fit, picked = read_clip(images, self.size, self.how, self.num_frames, self.stride)
        pictures = list_pictures(images)
        masks = np.stack([read_mask(folder / f"{pictures[f].stem}.png", fit.source) for f in picked])
        ids, boxes = self._follow(name, masks, clip, fit, picked)
        kept = screen(boxes, self.size, self.margin)
        paths = tuple(Trajectory.from_boxes(boxes[k], name=f"object {ids[k]}") for k in kept)
        return Sample(name, clip[0], Trajectories(self.size, paths), clip, self.kind)


@dataclass(frozen=True, kw_only=True, eq=False)
class Davis(MaskedVideos):
    """DAVIS 2017: 90 videos with masks of one or more objects in every frame (Pont-Tuset et al., arXiv 1704.00675).

    Source: https://davischallenge.org, for instance DAVIS-2017-trainval-480p.zip.
    Terms: the authors' own sequences are under CC BY 4.0; SOURCES.md names the others and their terms.

    Layout, with 480p or else Full-Resolution or 1080p:

        DAVIS/JPEGImages/480p/bear/00000.jpg
        DAVIS/Annotations/480p/bear/00000.png     a palette PNG, index 1, 2, ... per object
        DAVIS/ImageSets/2017/val.txt              names, one a line

    Boxes are the tight boxes of the masks in each frame, so their size changes. Objects that are not in the first frame
    are dropped. The challenge's sets (test-dev) have masks for the first frame only and cannot be used.

    Options:
        split: the name of the list, SPLIT.txt.
        stride: 3 by default, about 8 frames of DAVIS's 24 per second.
    """

    kind: ClassVar[str] = "davis"
    unused: ClassVar[tuple[str, ...]] = ("tracker",)

    stride: int | None = 3

    def _places(self) -> tuple[Path, Path, Path]:
        resolutions = tuple(f"JPEGImages/{each}" for each in ("480p", "Full-Resolution", "1080p"))
        images = first_folder(self.folder, resolutions, "the videos' frames")
        masks = first_folder(self.folder, (f"Annotations/{images.name}",), "the masks")
        return images, masks, first_folder(self.folder, ("ImageSets/2017",), "lists of videos") / f"{self.split}.txt"

    def _follow(self, name: str, masks: Masks, clip: Video, fit: Fit, picked: list[int]) -> tuple[list[int], Boxes]:
        found = [int(number) for number in np.unique(masks) if number not in (0, 255)]  # 255 is void
        ids = keep(found, [None if (masks[0] == number).any() else "absent at first" for number in found])
        return ids, fit.apply(torch.stack([trace(masks, number)[0] for number in ids]))


@dataclass(frozen=True, kw_only=True, eq=False)
class VIPSeg(MaskedVideos):
    """VIPSeg: 3536 videos in the wild with panoptic masks (Miao et al., CVPR 2022), used by SG-I2V (section 4.1).

    Source: https://github.com/VIPSeg-Dataset/VIPSeg-Dataset, which links to the archive (Google Drive, Baidu).
    Terms: its repository states no licence, and the videos are other people's, so treat it as for research only.

    Layout, as unpacked, or after its own script change2_720p.py. The test split has no masks.

        VIPSeg/imgs/VIDEO/00000123.jpg           VIPSeg_720P/images/VIDEO/00000123.jpg
        VIPSeg/panomasks/VIDEO/00000123.png      1 to 124 for stuff, category * 100 + instance for things
        VIPSeg/val.txt                           names, one a line; with VIPSeg_720P in it or beside it

    The protocol is that of DragAnything's released code (Wu et al., ECCV 2024), which SG-I2V follows: the point of each
    object that is farthest from its edge is tracked through the video (there by CoTracker). A box here is the square
    around the largest disc in the object, whose centre is that point, and moves with it; SG-I2V's released code does
    not show how the paper drew its boxes. The motion comes from `tracks`, from `tracker`, run on the clip at the size
    of the samples, or else from the object's centre of gravity. Stuff (sky, road) is left out, which the released
    tracks follow; boxes that go far out of the picture are dropped.

    Options:
        split: the name of the list, SPLIT.txt.
        tracks: a folder of released tracks, VIDEO.json with {"number": [[x, y], ...]}, a point per frame in pixels of
            the pictures: https://github.com/showlab/DragAnything, data/VIPSeg_Test/trajectories.zip, unpacked.
    """

    kind: ClassVar[str] = "vipseg"
    margin: ClassVar[float | None] = 0.1

    tracks: str | Path | None = None

    def _places(self) -> tuple[Path, Path, Path]:
        if self.tracks is not None and self.tracker is not None:
            raise InputError("tracker= and tracks= both say how the objects move: expected at most one of them")
        images = first_folder(self.folder, ("imgs", "images", "VIPSeg_720P/images"), "the videos' frames")
        masks = first_folder(images.parent, ("panomasks",), "VIPSeg's masks, one folder a video")
        lists = [place / f"{self.split}.txt" for place in (self.folder, images.parent, images.parent.parent)]
        return images, masks, next((path for path in lists if path.is_file()), lists[0])

    def _follow(self, name: str, masks: Masks, clip: Video, fit: Fit, picked: list[int]) -> tuple[list[int], Boxes]:
        # 200 is a slip in some of the set's masks (its repository, issue 1), no object
        found = [int(number) for number in np.unique(masks[0]) if number not in (0, 200)]
        ids = keep(found, [None if number > 124 else "stuff" for number in found])
        tracks = {}
        if self.tracks is not None:
            tracks = _read_tracks(Path(self.tracks) / f"{name}.json", picked[-1] + 1)
            ids = keep(ids, [None if number in tracks else "without track" for number in ids])
        discs = torch.tensor([largest_disc(masks[0] == number) for number in ids])
        centers, radius = discs[:, :2], discs[:, 2:]
        if self.tracker is not None:
            paths = get_tracker(self.tracker)(clip, fit.apply(centers)).points
        else:
            moved = [tracks[number][picked] if tracks else trace(masks, number)[1] for number in ids]
            paths = fit.apply(torch.stack(moved))
        start = fit.apply(torch.cat([centers - radius, centers + radius], dim=1))
        return ids, start[:, None] + (paths - paths[:, :1]).repeat(1, 1, 2)


def _read_tracks(path: Path, frames: int) -> dict[int, Float[Tensor, "_ 2"]]:
    """Released tracks of at least `frames` points by object, in pixels of the pictures."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tracks = {int(number): torch.tensor(points, dtype=torch.float32) for number, points in content.items()}
    except FileNotFoundError:
        raise InputError(f"there are no tracks {path}: expected them for each video, so check tracks=") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f'the tracks {path} are damaged ({error}): expected {{"6100": [[x, y], ...]}}') from None
    for number, track in tracks.items():
        if track.shape[1:] != (2,) or len(track) < frames or not track.isfinite().all():
            raise InputError(f"track {number} of {path} is {tuple(track.shape)}: expected {frames} or more (x, y)")
    return tracks
