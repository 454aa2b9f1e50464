"""All data sets by name."""

import inspect
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.ava import AVA
from sgi2v_lab.evaluation.datasets.benchmark import Benchmark
from sgi2v_lab.evaluation.datasets.davis import Davis
from sgi2v_lab.evaluation.datasets.examples import Examples
from sgi2v_lab.evaluation.datasets.kinetics import Kinetics
from sgi2v_lab.evaluation.datasets.sample import Dataset
from sgi2v_lab.evaluation.datasets.videos import Videos
from sgi2v_lab.evaluation.datasets.vipseg import VIPSeg

__all__ = ["DATASETS", "dataset_card", "open_dataset"]

DATASETS: dict[str, type[Dataset]] = {
    each.kind: each for each in (Benchmark, Examples, VIPSeg, Davis, Kinetics, AVA, Videos)
}
SHARED = ("how", "stride", "tracker")


def open_dataset(
    name: str, folder: str | Path | None = None, *, size: tuple[int, int], num_frames: int, **options: object
) -> Dataset:
    """Open a data set: its lists are read, its samples later, one by one.

    Args:
        name: one of `DATASETS`.
        folder: where it lies on this computer; nothing is ever downloaded. "benchmark" takes none.
        size: (width, height) of the samples.
        num_frames: of each.
        options: `how`, `stride` and `tracker`, see `Dataset`, and those of the data set, see `dataset_card`.

    Raises:
        InputError: an unknown name or option, or a folder that does not hold the data set.
    """
    make = _class(name)
    own = [p for p in inspect.signature(make).parameters if p not in ("folder", "shared")]
    drawn = make is Benchmark
    if not drawn and folder is None:
        raise InputError(f"the data set {name!r} needs a folder: expected where it lies, see dataset_card({name!r})")
    if drawn and folder is not None:
        raise InputError(f"the data set {name!r} is drawn: expected no folder, but got {folder}")
    if unknown := [option for option in options if option not in (*own, *SHARED)]:
        known = ", ".join((*own, *SHARED))
        raise InputError(f"the data set {name!r} has no option {unknown[0]!r}: expected some of {known}")
    return make(**{} if drawn else {"folder": folder}, size=size, num_frames=num_frames, **options)


def dataset_card(name: str) -> str:
    """What a data set is, where to get it, under which terms, how its folder looks, and its options."""
    return inspect.getdoc(_class(name))


def _class(name: str) -> type[Dataset]:
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")
    return DATASETS[name]
