"""Compare half precision with single precision: the same videos, from the same noise, in each.

Latents, loss and optimiser are fp32 in every run; what changes is the precision in which the networks compute. There
is no loss scaling and no step that is skipped: a gradient that is not finite would show in the figures.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.video_task import VideoTask, video_tasks
from sgi2v_lab.evaluation.metrics import psnr
from sgi2v_lab.evaluation.metrics.intervals import Interval, difference_of_means, mean_of, ratio_of_means
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.evaluation.tasks.run import run_tasks
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import DTYPES
from sgi2v_lab.shapes import Video

__all__ = ["Agreement", "compare_precisions"]

REFERENCE = "fp32"
MOST_PSNR = 99.0  # dB, of frames that are equal


@dataclass(frozen=True)
class Agreement:
    """Results of one precision, over benchmark scenes with one object."""

    dtype: str
    objmc: Interval  # with control, pixels of the video
    ratio: Interval  # to that without control
    more_objmc: Interval  # with control, beyond that of fp32, pixels
    psnr: Interval | None  # of controlled videos to those of fp32, dB; None for fp32 itself
    psnr_uncontrolled: Interval | None  # the same without control
    seconds: float  # median, of a controlled video

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {name: value.as_dict() if isinstance(value, Interval) else value for name, value in vars(self).items()}


def compare_precisions(
    folder: Path,
    model_name: str = "toy",
    dtypes: Sequence[str] = ("bf16",),
    *,
    scenes: int = 8,
    changes: Mapping[str, object] | None = None,
    workers: int = 1,
    device: str | None = None,
    progress: bool = False,
) -> list[Agreement]:
    """Make each video in fp32 and in `dtypes`; one row for each, that of fp32 first. Writes `folder/precision.json`.

    Args:
        folder: for the tasks and the record; what is there already is not made again.
        model_name: as in `load_model`.
        dtypes: some of "bf16" and "fp16".
        scenes: number of benchmark scenes with one object.
        changes: to the model's settings.
        workers: processes.
        device: as in `load_model`.
        progress: show progress bars.

    Raises:
        InputError: a precision that there is none of, no scene, or a video that failed.
    """
    for dtype in dtypes:
        if dtype not in DTYPES or dtype == REFERENCE:
            raise InputError(f"precision {dtype!r} cannot be compared with {REFERENCE}; expected bf16 or fp16")
    where = benchmark_scenes(["single"], scenes)
    found = {}
    for dtype in (REFERENCE, *dtypes):
        model = load_model(model_name, device, dtype)
        tasks = video_tasks(model, where, changes=changes)
        options = {"workers": workers, "device": device, "dtype": dtype, "progress": progress, "label": dtype}
        found[dtype] = _read(run_tasks(tasks, folder / "tasks", model, **options), folder / "tasks", tasks)
    rows = [_compare(dtype, found) for dtype in found]
    record = {"model": model_name, "scenes": len(where), "changes": dict(changes or {})}
    record["precisions"] = [row.as_dict() for row in rows]
    write_text(folder / "precision.json", json.dumps(record, indent=1) + "\n")
    return rows


@dataclass(frozen=True)
class _Videos:
    """Of each scene, in one precision; without and with control."""

    objmc: tuple[list[float], list[float]]
    videos: tuple[list[Video], list[Video]]
    seconds: list[float]  # with control


def _read(records: list[dict], folder: Path, tasks: list[VideoTask]) -> _Videos:
    if failed := [record for record in records if "error" in record]:
        raise InputError(f"{len(failed)} of {len(records)} videos failed, the first with {failed[0]['error']}")
    objmc: tuple[list, list] = ([], [])
    videos: tuple[list, list] = ([], [])
    for record, task in zip(records, tasks, strict=True):
        objmc[task.controlled].append(record["result"]["objmc"])
        videos[task.controlled].append(read_strip(folder / record["strip"], task.num_frames))
    seconds = [r["result"]["seconds"] for r, task in zip(records, tasks, strict=True) if task.controlled]
    return _Videos(objmc, videos, seconds)


def _compare(dtype: str, found: Mapping[str, _Videos]) -> Agreement:
    mine, reference = found[dtype], found[REFERENCE]

    def likeness(controlled: bool) -> Interval | None:
        if mine is reference:
            return None
        pairs = zip(mine.videos[controlled], reference.videos[controlled], strict=True)
        return mean_of([psnr(a, b).clamp(max=MOST_PSNR).mean().item() for a, b in pairs])

    return Agreement(
        dtype=dtype,
        objmc=mean_of(mine.objmc[True]),
        ratio=ratio_of_means(mine.objmc[True], mine.objmc[False]),
        more_objmc=difference_of_means(mine.objmc[True], reference.objmc[True]),
        psnr=likeness(True),
        psnr_uncontrolled=likeness(False),
        seconds=median(mine.seconds),
    )
