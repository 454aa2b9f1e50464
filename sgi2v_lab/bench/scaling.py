"""The cost of control: time and memory against frames, resolution, boxes and iterations, on this machine.

One thing varies at a time; the rest is as in a base run.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from statistics import median

import numpy as np
import torch
from tqdm.auto import tqdm

from sgi2v_lab.bench.measure import measure_peak, once
from sgi2v_lab.bench.stages import crossing
from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.files import as_path, whole_file
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run, generate
from sgi2v_lab.plots import plot_cost, save_figure
from sgi2v_lab.settings import Settings

__all__ = ["AXES", "cost_tasks", "measure_cost"]

# what is varied -> the unit of its number
AXES = {"frames": "frames", "resolution": "megapixels", "boxes": "boxes", "iterations": "iterations"}
SHARES = (0.5, 1.0, 1.5, 2.0)  # of the base's frames, or of its pixels
COUNTS = (1, 2, 4, 8)  # of boxes, or of iterations
STEPS = 4  # denoising steps of each measurement, the second half with control: time grows in proportion to them
FAILURES = (MemoryError, RuntimeError, InputError)  # of a run; torch's own are RuntimeErrors


def measure_cost(
    out: str | os.PathLike,
    model: Model | str = "toy",
    axes: Sequence[str] = tuple(AXES),
    repeats: int = 1,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = True,
) -> dict[str, object]:
    """Measure, and write cost.json and cost.png.

    Args:
        out: the folder to write into.
        model: from `load_model`, or its name.
        axes: some of `AXES`.
        repeats: runs of each kind; the median of their seconds counts, and the greatest peak.
        device: as in `load_model`, where the model is given by name.
        dtype: likewise.
        progress: show a progress bar.

    Returns:
        What cost.json holds: "machine", "model", "rows" (one for each measurement), "lines" (axis -> quantity -> a
        straight line by least squares: "at", "slope", and "r2", the share of variance that it explains). A run that
        fails, for lack of memory say, has its "error" and no figures.

    Raises:
        InputError: an unknown axis, fewer than one repeat, a model that cannot be loaded, or a folder that cannot be
            written.
    """
    if unknown := [axis for axis in axes if axis not in AXES]:
        raise InputError(f"cost cannot be measured against {unknown[0]!r}; choose some of {', '.join(AXES)}")
    whole_number(repeats, "repeats", 1)
    out, axes = as_path(out, "a folder"), tuple(dict.fromkeys(axes))
    loaded = load_model(model, device, dtype) if isinstance(model, str) else model
    machine = describe_machine(str(loaded.device))
    tasks = [(axis, *task) for axis in axes for task in cost_tasks(loaded, axis)]
    rows = []
    with whole_file(out / "cost.json") as part:
        part.touch()  # a place that cannot be written is noticed before the work
        with suppress(*FAILURES):  # the first run of a process is slower: it loads kernels and plans
            _run(loaded, *tasks[0][2:])
        for axis, x, settings, boxes in tqdm(tasks, desc="cost", disable=not progress, leave=False):
            varied = {"frames": settings.num_frames, "boxes": boxes, "iterations": settings.iterations}
            about = {"axis": axis, "x": x, "unit": AXES[axis], "width": settings.width, "height": settings.height}
            rows.append({**about, **varied, **_measured(loaded, settings, boxes, repeats)})
        lines = {axis: _lines([row for row in rows if row["axis"] == axis]) for axis in axes}
        of = {"model": loaded.name, "dtype": str(loaded.dtype), "machine": machine, "repeats": repeats, "steps": STEPS}
        report = {**of, "rows": rows, "lines": lines}
        part.write_text(json.dumps(report, indent=1), encoding="utf-8")
    where = f"{machine['device_name'] or machine['device']}, {machine['threads']} thread(s)"
    title = f"{loaded.name} on {where}, {str(loaded.dtype).removeprefix('torch.')}"
    save_figure(plot_cost(rows, lines, title), out / "cost.png")
    return report


def cost_tasks(model: Model, axis: str) -> Iterator[tuple[float, Settings, int]]:
    """The runs of one axis of `AXES`, the least first: the number that varies, the settings, and how many boxes.

    Sizes that the model cannot have are rounded.
    """
    own = model.settings
    frames = model.num_frames(own)
    base = own.replace(num_frames=frames, num_inference_steps=STEPS, control_steps=(STEPS // 2, STEPS - 1))
    match axis:
        case "boxes":
            yield from ((float(count), base, count) for count in COUNTS)
        case "iterations":
            yield from ((float(count), base.replace(iterations=count), 1) for count in COUNTS)
        case "frames":
            step, counts = model.frame_step, [max(2, round(share * frames)) for share in SHARES]
            for count in sorted({1 + step * max(1, round((count - 1) / step)) for count in counts}):
                yield float(count), base.replace(num_frames=count), 1
        case "resolution":
            step = model.size_step
            sizes = {
                tuple(max(step, step * round(side * share**0.5 / step)) for side in (base.width, base.height))
                for share in SHARES
            }
            for width, height in sorted(sizes):
                yield width * height / 1e6, base.replace(width=width, height=height), 1


def _lines(rows: list[Mapping]) -> dict[str, dict[str, float]]:
    """A line for each quantity; none through fewer than two different x."""
    good = [row for row in rows if "error" not in row]
    x, lines = [row["x"] for row in good], {}
    for name in ("seconds", "peak_bytes") if len({*x}) > 1 else ():
        y = np.array([row[name] for row in good])
        slope, at = np.polyfit(x, y, 1)
        rest = np.var(y - (at + slope * np.array(x))) / np.var(y) if np.var(y) > 0 else 0
        lines[name] = {"at": float(at), "slope": float(slope), "r2": float(1 - rest)}
    return lines


def _measured(model: Model, settings: Settings, boxes: int, repeats: int) -> dict[str, object]:
    """Seconds and peak memory of a run, or the error that ended it."""
    runs: list[Run] = []
    total, peaks, stages = [], [], []
    try:
        for _ in range(repeats):
            with measure_peak(model.device) as peak:
                total.append(once(lambda: runs.append(_run(model, settings, boxes)), model.device))
            peaks.append(peak.bytes)
            stages.append(runs.pop().seconds)
    except FAILURES as error:
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    seconds = {f"seconds_{name}": median(one[name] for one in stages) for name in ("encode", "denoise", "decode")}
    return {"seconds": median(total), **seconds, "peak_bytes": max(peaks), "memory_measured_by": peak.how}


def _run(model: Model, settings: Settings, boxes: int) -> Run:
    """A run on a picture of noise, whose cost does not depend on what is seen, with boxes that all move."""
    picture = torch.rand(3, settings.height, settings.width, generator=torch.Generator().manual_seed(0))
    return generate(model, picture, crossing(settings, boxes), settings, seed=0, progress=False)
