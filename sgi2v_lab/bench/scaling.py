"""The cost of control: time and memory against frames, resolution, boxes and iterations, on this machine.

One thing varies at a time; the rest is as in a base run. Each measurement is a record of its own, written at once, so a
killed run resumes. Records of another machine, model or setting are not used.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tqdm.auto import tqdm

from sgi2v_lab.bench.measure import measure_peak, once
from sgi2v_lab.bench.stages import crossing
from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.files import as_path, write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run, generate
from sgi2v_lab.plots import plot_cost, save_figure
from sgi2v_lab.settings import Settings

__all__ = ["AXES", "CostTask", "cost_tasks", "fit_line", "measure_cost"]

# what is varied -> the unit of its number
AXES = {"frames": "frames", "resolution": "megapixels", "boxes": "boxes", "iterations": "iterations"}
SHARES = {"frames": (0.5, 1.0, 1.5, 2.0), "resolution": (0.5, 1.0, 1.5, 2.0)}  # of the base; of its pixels
COUNTS = {"boxes": (1, 2, 4, 8), "iterations": (1, 2, 4, 8)}
FAILURES = (MemoryError, RuntimeError, InputError)  # of a run, which are recorded; torch's own are RuntimeErrors
STEPS = 4  # denoising steps of each measurement, the second half with control: time grows in proportion to them


@dataclass(frozen=True)
class CostTask:
    """One run to measure: what varies, its value, the settings, and the number of boxes."""

    axis: str
    x: float
    settings: Settings
    boxes: int

    def facts(self) -> dict[str, object]:
        """Its cells in the table, by column."""
        first, last = self.settings.control_steps
        return {
            "axis": self.axis,
            "x": self.x,
            "unit": AXES[self.axis],
            "width": self.settings.width,
            "height": self.settings.height,
            "frames": self.settings.num_frames,
            "boxes": self.boxes,
            "iterations": self.settings.iterations,
            "num_inference_steps": self.settings.num_inference_steps,
            "control_steps": last - first + 1,
        }

    def key(self, of: Mapping[str, object]) -> str:
        """The name of its record, from everything that the figures depend on."""
        identity = {"settings": self.settings.as_dict(), "boxes": self.boxes, **of}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def measure_cost(
    out: str | os.PathLike,
    model: str | Model = "toy",
    axes: Sequence[str] = tuple(AXES),
    *,
    repeats: int = 1,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = True,
) -> dict[str, object]:
    """Measure what is missing, and write cost.csv, cost.json and cost.png.

    Args:
        out: a folder; records lie in `out`/records, one file each.
        model: from `load_model`, or its name.
        axes: some of `AXES`.
        repeats: runs of each kind; the median of their seconds counts, and the greatest peak.
        device: as in `load_model`, where the model is given by name.
        dtype: likewise.
        progress: show a progress bar.

    Returns:
        What cost.json holds: "machine", "model", "rows" (one for each measurement), "lines" (axis -> quantity -> a
        straight line by least squares). A run that fails, for lack of memory say, has its "error" and no figures, and
        is tried again at the next start.

    Raises:
        InputError: an unknown axis, fewer than one repeat, a model that cannot be loaded, or a folder that cannot be
            written.
    """
    if unknown := [axis for axis in axes if axis not in AXES]:
        raise InputError(f"cost cannot be measured against {unknown[0]!r}; choose some of {', '.join(AXES)}")
    whole_number(repeats, "repeats", 1)
    loaded = load_model(model, device, dtype) if isinstance(model, str) else model
    machine = describe_machine(str(loaded.device))
    of = {"model": loaded.name, "dtype": str(loaded.dtype), "machine": machine, "repeats": repeats}
    tasks = list(chain.from_iterable(cost_tasks(loaded, axis) for axis in dict.fromkeys(axes)))
    out = as_path(out, "a folder")
    folder = out / "records"
    rows, warm = [], False
    for task in tqdm(tasks, desc="cost", disable=not progress, leave=False):
        path = folder / f"{task.key(of)}.json"
        found = _read(path)
        if found is None:
            if not warm:  # the first run of a process is slower: it loads kernels and plans
                with suppress(*FAILURES):  # said when it is measured
                    _one(loaded, task)
                warm = True
            found = {**task.facts(), **_measure(loaded, task, repeats)}
            write_text(path, json.dumps(found, indent=1))
        rows.append({**found, **task.facts()})  # the base run is one record, and a row of every axis
    lines = {axis: _lines([row for row in rows if row["axis"] == axis]) for axis in dict.fromkeys(axes)}
    report = {**of, "rows": rows, "lines": lines}
    write_text(out / "cost.json", json.dumps(report, indent=1))
    write_text(out / "cost.csv", _table(rows))
    where = f"{machine['device_name'] or machine['device']}, {machine['threads']} thread(s)"
    title = f"{loaded.name} on {where}, {str(loaded.dtype).removeprefix('torch.')}"
    save_figure(plot_cost(rows, lines, title), out / "cost.png")
    return report


def cost_tasks(model: Model, axis: str) -> Iterator[CostTask]:
    """The runs of one axis of `AXES` for a model, the least first; sizes that the model cannot have are rounded."""
    own = model.settings
    frames = model.num_frames(own)
    base = own.replace(num_frames=frames, num_inference_steps=STEPS, control_steps=(STEPS // 2, STEPS - 1))
    if axis in COUNTS:
        for count in COUNTS[axis]:
            settings = base.replace(iterations=count) if axis == "iterations" else base
            yield CostTask(axis, float(count), settings, count if axis == "boxes" else 1)
        return
    if axis == "frames":
        step, counts = model.frame_step, [max(2, round(share * frames)) for share in SHARES["frames"]]
        for count in sorted({1 + step * max(1, round((count - 1) / step)) for count in counts}):
            yield CostTask(axis, float(count), base.replace(num_frames=count), 1)
        return
    step = model.size_step
    sizes = {
        tuple(max(step, step * round(side * share**0.5 / step)) for side in (base.width, base.height))
        for share in SHARES["resolution"]
    }
    for width, height in sorted(sizes):
        yield CostTask(axis, width * height / 1e6, base.replace(width=width, height=height), 1)


def fit_line(x: Sequence[float], y: Sequence[float]) -> dict[str, float]:
    """The line at + slope * x by least squares, and "r2", the share of variance that it explains."""
    slope, at = np.polyfit(x, y, 1)
    rest, total = np.var(y - (at + slope * np.asarray(x))), np.var(y)
    return {"at": float(at), "slope": float(slope), "r2": float(1 - rest / total) if total > 0 else 1.0}


def _lines(rows: list[dict]) -> dict[str, dict[str, float]]:
    """A line for each quantity; none through fewer than two different x."""
    good = [row for row in rows if row.get("error") is None]
    x = [row["x"] for row in good]
    names = ("seconds", "peak_bytes") if len({*x}) > 1 else ()
    return {name: fit_line(x, [row[name] for row in good]) for name in names}


def _measure(model: Model, task: CostTask, repeats: int) -> dict[str, object]:
    """Seconds and peak memory of a run, or the error that ended it."""
    total, stages, peaks, how = [], [], [], ""
    made: list[Run] = []
    try:
        for _ in range(repeats):
            with measure_peak(model.device) as peak:
                total.append(once(lambda: made.append(_one(model, task)), model.device))
            stages.append(made.pop().seconds)
            peaks.append(peak.bytes)
            how = peak.how
    except FAILURES as error:
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
    seconds = {f"seconds_{name}": median(one[name] for one in stages) for name in ("encode", "denoise", "decode")}
    return {"seconds": median(total), **seconds, "peak_bytes": max(peaks), "memory_measured_by": how, "error": None}


def _one(model: Model, task: CostTask) -> Run:
    """A run on a picture of noise, whose cost does not depend on what is seen, with boxes that all move."""
    width, height = task.settings.width, task.settings.height
    picture = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    boxes = crossing(task.settings, task.boxes)
    return generate(model, picture, boxes, task.settings, seed=0, progress=False)


def _read(path: Path) -> dict[str, object] | None:
    """A record; None if there is none, if it is damaged or if it records a failure."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if record["error"] is None else None


def _table(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(chain.from_iterable(rows)), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
