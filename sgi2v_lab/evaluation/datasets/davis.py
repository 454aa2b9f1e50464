"""DAVIS 2016 and 2017: short videos in which the objects are outlined in every frame."""

from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import check_stride, list_pictures, read_clip
from sgi2v_lab.evaluation.datasets.layout import check_listed, first_folder, read_list
from sgi2v_lab.evaluation.datasets.masks import mask_boxes, match_masks, read_mask
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.datasets.screening import LEAST_SIDE, kept_trajectories, screen

__all__ = ["Davis"]

VOID = 255  # of 2017's masks; in 2016's it is the object


class Davis(Dataset):
    """DAVIS: 50 (2016, one object each) or 90 (2017, several objects) videos with masks in every frame.

    Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv 1704.00675.

    Source: https://davischallenge.org, for instance DAVIS-2017-trainval-480p.zip.
    Terms: the authors' own sequences are under CC BY 4.0; SOURCES.md names the others and theirs.

    Layout:

        DAVIS/JPEGImages/480p/bear/00000.jpg
        DAVIS/Annotations/480p/bear/00000.png        a palette PNG, index 1, 2, ... per object
        DAVIS/ImageSets/2017/val.txt                 names, one a line

    The release of 2016 has ImageSets/480p/val.txt with a line "/JPEGImages/... /Annotations/..." for each frame, and
    masks of 0 and 255; both are understood. With `year=2016` all objects of a video count as one.

    Boxes are the tight boxes of the masks in each frame, so they change their size. An object that is hidden waits
    where it was last seen; one that is not in the first frame is left out. The sets for the challenge (test-dev) have
    masks for the first frame only, and cannot be used.

    Args:
        folder: DAVIS.
        size: (width, height) of the samples.
        num_frames: of each.
        year: 2016 or 2017.
        split: the list, SPLIT.txt.
        how: "stretch", "crop" or "pad".
        stride: see `sgi2v_lab.evaluation.datasets.clips`; 3 makes about 8 frames of DAVIS's 24 per second.
        resolution: the subfolder, "480p" or "Full-Resolution".
        least_side: pixels that a box must have, see `sgi2v_lab.evaluation.datasets.screening`.
    """

    kind: ClassVar[str] = "davis"

    def __init__(
        self,
        folder: str | Path,
        *,
        size: tuple[int, int],
        num_frames: int,
        year: int = 2017,
        split: str = "val",
        how: str = "stretch",
        stride: int | None = 3,
        resolution: str = "480p",
        least_side: float | int = LEAST_SIDE,
    ) -> None:
        super().__init__(folder, size, num_frames)
        if year not in (2016, 2017):
            raise InputError(f"year is {year}: expected 2016 or 2017")
        self.images = first_folder(self.folder, (f"JPEGImages/{resolution}",), "the videos' frames")
        self.masks = first_folder(self.folder, (f"Annotations/{resolution}",), "the masks")
        self.year, self.how, self.stride, self.least_side = year, how, check_stride(stride), least_side
        lists = first_folder(self.folder, (f"ImageSets/{year}", f"ImageSets/{resolution}"), "lists of videos")
        lines = read_list(lists / f"{split}.txt", "names of videos")
        self.names = tuple(dict.fromkeys(_video(line) for line in lines))
        check_listed(self.names, self.images, lists / f"{split}.txt")

    def load(self, name: str) -> Sample:
        """Read some frames of one video, and the boxes of its objects."""
        pictures = list_pictures(self.images / name)
        masks = match_masks(pictures, self.masks / name)
        clip, fit, picked = read_clip(self.images / name, self.size, self.how, self.num_frames, self.stride)
        numbers = [read_mask(masks[f], fit.source) for f in picked]
        if self.year == 2016:
            numbers = [(mask > 0).astype(np.int64) for mask in numbers]
        ids = sorted({int(k) for mask in numbers for k in np.unique(mask)} - {0, VOID})
        present = [number for number in ids if (numbers[0] == number).any()]
        dropped = Counter("absent at first" for number in ids if number not in present)
        found = [mask_boxes(numbers, number) for number in present]
        shape = (0, self.num_frames)
        boxes = fit.apply(torch.stack([box for box, _ in found])) if found else torch.zeros(*shape, 4)
        visible = torch.stack([seen for _, seen in found]) if found else torch.zeros(shape, dtype=torch.bool)
        reasons = screen(boxes, self.size, self.least_side)
        trajectories, visible = kept_trajectories(
            self.images / name, boxes, [f"object {number}" for number in present], visible, reasons, self.size, dropped
        )
        meta = {
            "dataset": f"{self.kind}-{self.year}",
            "source": str(self.images / name),
            "source_size": list(fit.source),
            "frames": picked,
            "ids": [number for number, reason in zip(present, reasons, strict=True) if reason is None],
            "dropped": dict(dropped),
        }
        return Sample(name, clip[0], trajectories, clip, visible, meta)


def _video(line: str) -> str:
    """The name in a line of a list: bear, or /JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png."""
    parts = line.split()[0].strip("/").split("/")
    return parts[-2] if len(parts) > 1 else parts[0]
