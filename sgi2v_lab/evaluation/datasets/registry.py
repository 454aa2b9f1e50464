"""All data sets by name."""

from dataclasses import fields
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.ava import AVA
from sgi2v_lab.evaluation.datasets.benchmark import Benchmark
from sgi2v_lab.evaluation.datasets.examples import Examples
from sgi2v_lab.evaluation.datasets.masked_videos import Davis, VIPSeg
from sgi2v_lab.evaluation.datasets.sample import Dataset
from sgi2v_lab.evaluation.datasets.videos import Kinetics, Videos

__all__ = ["DATASETS", "open_dataset"]

DATASETS: dict[str, type[Dataset]] = {
    each.kind: each for each in (Benchmark, Examples, VIPSeg, Davis, Kinetics, AVA, Videos)
}


def open_dataset(
    name: str, folder: str | Path | None = None, *, size: tuple[int, int], num_frames: int, **options: object
) -> Dataset:
    """Open a data set: its lists are read now, its samples one by one later.

    Only "benchmark" takes no folder. Samples have `size` (width, height) and `num_frames` frames. Other options are
    `how`, `stride` and `tracker` (see `Dataset`), and the data set's own: `help(DATASETS["davis"])` tells them, where
    to get it, under which terms, and how its folder should look.

    Raises:
        InputError: an unknown name or option, or a folder that does not hold the data set.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")
    chosen = DATASETS[name]
    known = [option.name for option in fields(chosen) if option.init]
    if unknown := [option for option in options if option not in known]:
        raise InputError(f"the data set {name!r} has no option {unknown[0]!r}: expected some of {', '.join(known)}")
    return chosen(folder=folder, size=size, num_frames=num_frames, **options)
