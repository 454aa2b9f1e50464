"""VIPSeg, the data set of SG-I2V's published numbers (section 4.1, table 1)."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import list_pictures, read_clip
from sgi2v_lab.evaluation.datasets.layout import check_listed, existing_folder, first_folder, read_list
from sgi2v_lab.evaluation.datasets.moving import follow
from sgi2v_lab.evaluation.datasets.objects import follow_mask, largest_disc, match_masks, read_mask
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.trajectories.geometry import numbers

__all__ = ["VIPSeg"]

VOID = (0, 200)  # 200 is a slip of some of the set's masks (its repository, issue 1), no object
LARGEST_STUFF = 124  # greater numbers are things: category * 100 + instance
MARGIN = 0.1  # how far tracks may leave the picture, in its sides


class VIPSeg(Dataset):
    """VIPSeg: 3536 videos in the wild with panoptic masks (Miao et al., CVPR 2022).

    Source: https://github.com/VIPSeg-Dataset/VIPSeg-Dataset, which links to the archive (Google Drive, Baidu).
    Terms: its repository states no licence; the videos are other people's, so treat it as for research only.

    Layout, as it is unpacked, or after its own script change2_720p.py:

        VIPSeg/imgs/VIDEO/00000123.jpg           VIPSeg_720P/images/VIDEO/00000123.jpg
        VIPSeg/panomasks/VIDEO/00000123.png      VIPSeg_720P/panomasks/VIDEO/00000123.png
        VIPSeg/val.txt                           val.txt in it, or beside it

    Masks hold 0 for nothing, 1 to 124 for stuff, category * 100 + instance for things. The test split has none.

    The protocol that the field's numbers are made by (the released code of DragAnything, Wu et al., ECCV 2024, which
    SG-I2V follows): of each number in the first mask the point farthest from the object's edge, the maximum of the
    distance transform, is tracked through the video (with CoTracker). Here a box is the square around the largest disc
    in the object, which is centred on that point, moved as the point moves; how the paper drew its boxes is not in its
    released code. Three things can say how it moves:

    * `tracks`: a folder of released tracks, VIDEO.json with {"number": [[x, y], ...]}, a point per frame in pixels of
      the pictures. They are at https://github.com/showlab/DragAnything, data/VIPSeg_Test/trajectories.zip, unpacked.
      A track that takes its box's centre out of the picture by more than a tenth is left out;
    * `tracker`: any point tracker, run on the clip at the size asked for;
    * neither: the centre of gravity of the object's mask.

    Args:
        split: the list, SPLIT.txt.
        tracks: see above.
        control: "disc" for the square around the largest disc, "box" for the tight box of the whole object.
        stuff: follow stuff (sky, road), too; the released tracks do.
    """

    kind: ClassVar[str] = "vipseg"

    def __init__(
        self,
        folder: str | Path,
        *,
        split: str = "val",
        tracks: str | Path | None = None,
        control: str = "disc",
        stuff: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(folder, **shared)
        if self.tracker is not None and tracks is not None:
            raise InputError("both tracker= and tracks= say how the objects move: expected one of them, or none")
        if control not in ("disc", "box"):
            raise InputError(f"control is {control!r}: expected 'disc' or 'box'")
        self.images = first_folder(self.folder, ("imgs", "images", "VIPSeg_720P/images"), "the videos' frames")
        self.masks = existing_folder(self.images.parent / "panomasks", "VIPSeg's masks, one folder a video")
        self.tracks = None if tracks is None else existing_folder(Path(tracks), "VIPSeg's tracks, one .json a video")
        self.control, self.stuff = control, stuff
        places = (self.folder, self.images.parent, self.images.parent.parent)
        where = next((place for place in places if (place / f"{split}.txt").is_file()), self.folder)
        self.names = tuple(read_list(where / f"{split}.txt", "names of videos"))
        check_listed(self.names, self.images, where / f"{split}.txt")

    def load(self, name: str) -> Sample:
        """Read one video's first frames, and the boxes of its objects."""
        files = match_masks(list_pictures(self.images / name), self.masks / name)
        clip, fit, picked = read_clip(self.images / name, self.size, self.how, self.num_frames, self.stride)
        first = read_mask(files[0], fit.source)
        dropped: Counter[str] = Counter()
        ids = self._objects(first, dropped)
        tracks = self._released(name, ids, picked[-1] + 1, dropped) if self.tracks else {}
        ids = [number for number in ids if not self.tracks or number in tracks]
        masks = [first] if self.tracker else [first, *(read_mask(files[f], fit.source) for f in picked[1:])]
        found = [follow_mask(masks, number) for number in ids]
        discs = [largest_disc(first == number) for number in ids]
        if self.tracker is not None and ids:
            points = fit.apply(torch.tensor([(disc.x, disc.y) for disc in discs]))
            paths, visible = follow(self.tracker, clip, points)
        else:
            centers = [tracks[n][picked] if self.tracks else each.centers for n, each in zip(ids, found, strict=True)]
            paths = [fit.apply(path) for path in centers]
            visible = torch.stack([each.visible for each in found]) if found else torch.ones(0, len(picked)).bool()
        start = [
            torch.tensor(disc.box) if self.control == "disc" else f.boxes[0]
            for disc, f in zip(discs, found, strict=True)
        ]
        boxes = [fit.apply(box) + (path - path[:1]).repeat(1, 2) for box, path in zip(start, paths, strict=True)]
        how = "tracks" if self.tracks else "tracker" if self.tracker else "masks"
        more = {"source": str(self.images / name), "frames": picked, "followed_by": how}
        return self._sample(name, clip, fit, boxes, [str(n) for n in ids], visible, dropped, MARGIN, **more)

    def _objects(self, mask: np.ndarray, dropped: Counter[str]) -> list[int]:
        ids = [int(number) for number in np.unique(mask) if number not in VOID]
        if self.stuff:
            return ids
        things = [number for number in ids if number > LARGEST_STUFF]
        if len(things) < len(ids):
            dropped["stuff"] += len(ids) - len(things)
        return things

    def _released(self, name: str, ids: list[int], frames: int, dropped: Counter[str]) -> dict[int, Tensor]:
        """Released tracks (frames, 2) of these objects in pixels of the pictures."""
        path = self.tracks / f"{name}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            tracks = {int(number): list(points) for number, points in content.items()}
        except FileNotFoundError:
            raise InputError(f"there are no tracks {path}: expected them for each video, so check tracks=") from None
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise InputError(f'the tracks {path} are damaged ({error}): expected {{"6100": [[x, y], ...]}}') from None
        found = {}
        for number in ids:
            if number not in tracks:
                dropped["without track"] += 1
                continue
            if len(tracks[number]) < frames:
                raise InputError(
                    f"the track of {number} in {path} has {len(tracks[number])} points and {frames} frames are "
                    "wanted: expected a point for each frame"
                )
            found[number] = torch.tensor(
                [numbers(point, 2, f"a point of {number} in {path}") for point in tracks[number]]
            )
        return found
