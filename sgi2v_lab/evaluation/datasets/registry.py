"""All data sets by name, and what one of them holds."""

import inspect
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.ava import AVA
from sgi2v_lab.evaluation.datasets.davis import Davis
from sgi2v_lab.evaluation.datasets.examples import Examples
from sgi2v_lab.evaluation.datasets.kinetics import Kinetics
from sgi2v_lab.evaluation.datasets.sample import Dataset
from sgi2v_lab.evaluation.datasets.toy_benchmark import ToyBenchmark
from sgi2v_lab.evaluation.datasets.videos import Videos
from sgi2v_lab.evaluation.datasets.vipseg import VIPSeg

__all__ = ["DATASETS", "dataset_card", "describe", "open_dataset"]

DATASETS: dict[str, Callable[..., Dataset]] = {
    "benchmark": ToyBenchmark,
    "examples": Examples,
    "vipseg": VIPSeg,
    "davis": Davis,
    "kinetics": Kinetics,
    "ava": AVA,
    "videos": Videos,
}
"""What makes each data set, by the name that `open_dataset` takes."""


def open_dataset(
    name: str, folder: str | Path | None = None, *, size: tuple[int, int], num_frames: int, **options: object
) -> Dataset:
    """Open a data set: its lists are read, its samples later, one by one.

    Args:
        name: one of `DATASETS`.
        folder: where it lies on this computer; nothing is ever downloaded. "benchmark" takes none.
        size: (width, height) of the samples.
        num_frames: of each.
        options: those of the data set, see `dataset_card`.

    Raises:
        InputError: an unknown name or option, an option that is needed, or a folder that does not hold the data set.
    """
    make = _maker(name)
    parameters = inspect.signature(make).parameters
    takes_folder = "folder" in parameters
    if takes_folder and folder is None:
        raise InputError(f"the data set {name!r} needs a folder: expected where it lies, see dataset_card({name!r})")
    if not takes_folder and folder is not None:
        raise InputError(f"the data set {name!r} is drawn: expected no folder, but got {folder}")
    known = [option for option in parameters if option not in ("folder", "size", "num_frames")]
    if isinstance(make, partial):
        known = [option for option in known if option not in make.keywords]
    if unknown := [option for option in options if option not in known]:
        raise InputError(f"the data set {name!r} has no option {unknown[0]!r}: expected some of {', '.join(known)}")
    needed = [option for option in known if parameters[option].default is inspect.Parameter.empty]
    if lacking := [option for option in needed if options.get(option) is None]:
        raise InputError(f"the data set {name!r} needs {lacking[0]}=: see dataset_card({name!r})")
    where = {"folder": folder} if takes_folder else {}
    return make(**where, size=size, num_frames=num_frames, **options)


def dataset_card(name: str) -> str:
    """What a data set is, where to get it, under which terms, how its folder looks, and its options."""
    make = _maker(name)
    return inspect.getdoc(make.func if isinstance(make, partial) else make)


def describe(dataset: Dataset, most: int | None = None) -> dict[str, object]:
    """Read a data set through, and count.

    Args:
        dataset: from `open_dataset`.
        most: read so many samples at most; None for all.

    Returns:
        Plain values: "kind", "folder", "size", "num_frames"; "samples" and "missing", by its list; "read", of which
        "usable"; "broken" (name -> what is wrong); and of the usable ones "with_clip", "boxes", "hidden" (boxes that
        are out of sight in some frame), "dropped" (reason -> objects left out) and "mean_move" (how far a box's centre
        goes in the mean from its first place to its farthest, in pixels; None without boxes).
    """
    broken: dict[str, str] = {}
    dropped: Counter[str] = Counter()
    moves: list[float] = []
    read = usable = with_clip = hidden = 0
    for name in islice(dataset.names, most):
        read += 1
        try:
            sample = dataset.load(name)
        except InputError as error:
            broken[name] = str(error)
            continue
        usable += 1
        with_clip += sample.clip is not None
        boxes = sample.trajectories.boxes(dataset.num_frames)
        centers = (boxes[..., :2] + boxes[..., 2:]) / 2
        moves += (centers - centers[:, :1]).norm(dim=-1).amax(dim=1).tolist()
        hidden += 0 if sample.visible is None else int((~sample.visible.all(dim=1)).sum())
        dropped.update(sample.meta["dropped"])
    return {
        "kind": dataset.kind,
        "folder": None if dataset.folder is None else str(dataset.folder),
        "size": list(dataset.size),
        "num_frames": dataset.num_frames,
        "samples": len(dataset),
        "missing": len(dataset.missing),
        "read": read,
        "usable": usable,
        "broken": broken,
        "with_clip": with_clip,
        "boxes": len(moves),
        "hidden": hidden,
        "dropped": dict(dropped),
        "mean_move": torch.tensor(moves).mean().item() if moves else None,
    }


def _maker(name: str) -> Callable[..., Dataset]:
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")
    return DATASETS[name]
