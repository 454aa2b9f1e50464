"""DAVIS 2016 and 2017: short videos in which the objects are outlined in every frame."""

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from sgi2v_lab.evaluation.datasets.clips import list_pictures, read_clip
from sgi2v_lab.evaluation.datasets.layout import check_listed, first_folder, read_list
from sgi2v_lab.evaluation.datasets.objects import follow_mask, match_masks, read_mask
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample

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
    masks of 0 and 255; where there is no ImageSets/2017, it is taken for that one.

    Boxes are the tight boxes of the masks in each frame, so they change their size. An object that is hidden waits
    where it was last seen; one that is not in the first frame is left out. The sets for the challenge (test-dev) have
    masks for the first frame only, and cannot be used. The stride is 3: about 8 frames of DAVIS's 24 per second.

    Args:
        split: the list, SPLIT.txt.
        resolution: the subfolder, "480p" or "Full-Resolution".
    """

    kind: ClassVar[str] = "davis"
    own_stride: ClassVar[int] = 3

    def __init__(self, folder: str | Path, *, split: str = "val", resolution: str = "480p", **shared: Any) -> None:
        super().__init__(folder, **shared)
        self.images = first_folder(self.folder, (f"JPEGImages/{resolution}",), "the videos' frames")
        self.masks = first_folder(self.folder, (f"Annotations/{resolution}",), "the masks")
        lists = first_folder(self.folder, ("ImageSets/2017", f"ImageSets/{resolution}"), "lists of videos")
        self.one_object = lists.name != "2017"
        lines = read_list(lists / f"{split}.txt", "names of videos")
        self.names = tuple(dict.fromkeys(_video(line) for line in lines))
        check_listed(self.names, self.images, lists / f"{split}.txt")

    def load(self, name: str) -> Sample:
        """Read some frames of one video, and the boxes of its objects."""
        files = match_masks(list_pictures(self.images / name), self.masks / name)
        clip, fit, picked = read_clip(self.images / name, self.size, self.how, self.num_frames, self.stride)
        masks = [read_mask(files[f], fit.source) for f in picked]
        if self.one_object:
            masks = [(mask > 0).astype(np.int64) for mask in masks]
        numbers = sorted({int(k) for mask in masks for k in np.unique(mask)} - {0, VOID})
        present = [number for number in numbers if (masks[0] == number).any()]
        found = [follow_mask(masks, number) for number in present]
        return self._sample(
            name,
            clip,
            fit,
            [fit.apply(each.boxes) for each in found],
            [f"object {number}" for number in present],
            torch.stack([each.visible for each in found]) if found else torch.ones(0, self.num_frames).bool(),
            Counter("absent at first" for number in numbers if number not in present),
            source=str(self.images / name),
            frames=picked,
        )


def _video(line: str) -> str:
    """The name in a line of a list: bear, or /JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png."""
    parts = line.split()[0].strip("/").split("/")
    return parts[-2] if len(parts) > 1 else parts[0]
