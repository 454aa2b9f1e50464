"""`sgi2v bench`: operations, seconds and memory of each stage, beside the reference recipe, in one record.

`bench` computes; `count` only counts, on the device "meta", which takes half a minute even for SVD at full size.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from sgi2v_lab.bench.measure import matmul_rate, measure_peak, once
from sgi2v_lab.bench.networks import network
from sgi2v_lab.bench.reference_recipe import (
    Workload,
    has_reference,
    reference_gradient,
    reference_precision,
    reference_step,
)
from sgi2v_lab.bench.stages import count_memory, count_stages, one_iteration, workload
from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES, recomputing
from sgi2v_lab.errors import whole_number
from sgi2v_lab.latents import decode_latents
from sgi2v_lab.models.model import Model
from sgi2v_lab.sampling import control_step, euler_step, make_schedule
from sgi2v_lab.settings import Settings

__all__ = ["DEFINITIONS", "bench", "count"]

REFERENCE = "reference"
LONG = 1800  # seconds at best, from which on a warning suggests `count`
DEFINITIONS = {
    "tflop": "operations of matrix products, convolutions and attention, forward, backward and recomputed",
    "seconds": "median of the repeats; the ways take turns, and each repeat starts with the next one",
    "peak_mib": "most memory in use beyond what was in use before, weights included (`measure.measure_peak`); median",
    "tensors_mib": "most tensors alive at once, beyond the weights: counted, not measured (`count_bytes.count_bytes`)",
    "share": "operations per second, relative to a large matrix product in the same precision on the same machine",
    "floor": "seconds divided by the time that the necessary operations would take at that rate",
    "ratio": "seconds, or memory, divided by the reference recipe's in the same run",
    "gradient_error": "largest difference from the reference recipe's gradient, relative to its largest value",
}


def bench(
    name: str = "miniature",
    *,
    device: str | None = None,
    dtype: str | None = None,
    boxes: int = 2,
    repeats: int = 5,
    changes: dict | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, object]:
    """Measure a network of `networks.NETWORKS`; returns a record of plain values for JSON, with definitions.

    All timing is repeated `repeats` times, with `boxes` boxes to follow. `changes` are settings that differ from the
    network's own; device and dtype are as in `load_model`; `tell` is called with a line about what comes next.

    Raises:
        InputError: an unknown network, a setting that cannot be used, or less than one box or repeat.
    """
    whole_number(repeats, "repeats", 1)
    whole_number(boxes, "boxes", 1)
    model = network(name, device, dtype)
    settings = model.settings.replace(**changes or {})
    tell("counting operations and memory")
    record = _counted(name, model, settings, boxes)
    control, stages = record["control_step"], record["stages"]
    rate, work = matmul_rate(model.device, model.dtype), workload(model, settings, boxes)
    tell("time and memory of a control step, in each way")
    at_best = sum(row["tflop"] for row in control.values()) * 1e12 * (1 + 2 * repeats) / rate
    if at_best > LONG:
        tell(f"this takes at least {at_best / 3600:.1f} hours here; `count` (--count-only) takes half a minute")
    _measure(control, control_steps(work), repeats, work, rate, necessary=control["fast"]["tflop"])
    for row in control.values() if REFERENCE in control else ():
        row["time_ratio"] = round(row["seconds"] / control[REFERENCE]["seconds"], 4)
        row["memory_ratio"] = round(row["peak_mib"] / max(control[REFERENCE]["peak_mib"], 1e-9), 4)
    tell("the other stages")
    _measure(stages, _other_stages(work), repeats, work, rate)
    return {
        **record,
        **describe_machine(str(model.device)),
        "repeats": repeats,
        "matmul_tflops": rate / 1e12,
        "gradient_error": gradient_errors(work),
        "floor_of_a_video_seconds": record["counts_tflop"]["video"] * 1e12 / rate,
        "definitions": DEFINITIONS,
    }


def count(
    name: str = "svd", *, dtype: str | None = None, boxes: int = 2, changes: dict | None = None
) -> dict[str, object]:
    """Operations and memory of a network that is never computed; a record like that of `bench`, without measurements.

    `dtype` is what a GPU would have if left out, "fp32" for "toy" and "miniature". Raises InputError as `bench` does.
    """
    whole_number(boxes, "boxes", 1)
    # the toy's weights are read nevertheless: they say which of its decoder's blocks do nothing
    usual = "fp16" if name == "svd" else "bf16" if name.startswith("wan") else "fp32"
    model = network(name, "cpu" if name == "toy" else "meta", dtype or usual)
    return _counted(name, model, model.settings.replace(**changes or {}), boxes)


def _counted(name: str, model: Model, settings: Settings, boxes: int) -> dict[str, object]:
    whole_number(settings.iterations, "iterations", 1)  # a control step without any cannot be compared
    counts, tensors = count_stages(model, settings, boxes), count_memory(model, settings, boxes)

    def row(operations: int, memory: str) -> dict[str, float]:
        return {"tflop": operations / 1e12, "tensors_mib": _mib(tensors[memory])}

    control = {
        way: row(settings.iterations * counts[f"control iteration, {way}"], f"control step, {way}")
        for way in ((REFERENCE,) if has_reference(model) else ()) + RECOMPUTE_MODES
    }
    for each in control.values() if REFERENCE in control else ():
        each["operations_ratio"] = round(each["tflop"] / control[REFERENCE]["tflop"], 4)
        each["tensors_ratio"] = round(each["tensors_mib"] / control[REFERENCE]["tensors_mib"], 4)
    return {
        "bench": name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "settings": settings.as_dict(),
        "frames": model.num_frames(settings),
        "boxes": boxes,
        "weights_mib": _mib(tensors["weights"]),
        "control_step": control,
        "stages": {stage: row(counts[stage], stage) for stage in ("denoising step", "decode")},
        "counts_tflop": {stage: operations / 1e12 for stage, operations in counts.items()},
        "definitions": {name: DEFINITIONS[name] for name in ("tflop", "tensors_mib", "ratio")},
    }


def _measure(
    rows: dict[str, dict],
    ways: dict[str, Callable[[], object]],
    repeats: int,
    work: Workload,
    rate: float,
    necessary: float | None = None,
) -> None:
    """Add what is measured to the rows; `necessary` operations, in TFLOP, are a row's own if left out."""
    times = alternate(ways, repeats, work.model.device)
    peaks, how = alternate_memory(ways, repeats, work.model.device)
    for way, row in rows.items():
        at_rate = times[way] * rate / 1e12  # what could be computed in that time
        row |= {
            "seconds": times[way],
            "share": round(row["tflop"] / at_rate, 4),
            "floor": round(at_rate / (row["tflop"] if necessary is None else necessary), 3),
            "peak_mib": _mib(peaks[way]),
            "memory_measured_by": how,
        }


def control_steps(work: Workload) -> dict[str, Callable[[], object]]:
    """A control step with all its iterations: in every memory mode, and by the reference recipe."""

    def step(mode: str) -> None:
        with recomputing(work.model, mode, max(work.settings.layers)):
            for _ in control_step(*work.given()):
                pass

    modes = {mode: partial(step, mode) for mode in RECOMPUTE_MODES}
    return ({REFERENCE: lambda: reference_step(work)} if has_reference(work.model) else {}) | modes


def alternate(
    ways: dict[str, Callable[[], object]], repeats: int, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Median seconds of each way. They take turns, so that other load on the machine affects all alike."""
    names = list(ways)
    times: dict[str, list[float]] = {way: [] for way in names}
    for way in names:
        once(ways[way], device)  # to warm up
    for turn in range(repeats):
        first = turn % len(names)
        for way in names[first:] + names[:first]:
            times[way].append(once(ways[way], device))
    return {way: median(found) for way, found in times.items()}


def alternate_memory(
    ways: dict[str, Callable[[], object]], repeats: int, device: torch.device | str = "cpu"
) -> tuple[dict[str, float], str]:
    """Median peak of each way in bytes, and how it was measured.

    A device's allocator gives the same figure each time, so each way runs once. A computer's resident pages depend on
    what the C library keeps for later, so there all ways take turns.
    """
    peaks: dict[str, list[int]] = {way: [] for way in ways}
    how = ""
    for _ in range(repeats):
        for way, run in ways.items():
            with measure_peak(device) as peak:
                run()
            peaks[way].append(peak.bytes)
            how = peak.how
        if how == "allocator":
            break
    return {way: median(found) for way, found in peaks.items()}, how


def gradient_errors(work: Workload) -> dict[str, float]:
    """How far each mode's gradient is from the reference recipe's, which is always computed in fp32."""
    if not has_reference(work.model):
        return {}
    with reference_precision(work.model):
        wanted = reference_gradient(work)
    found = {mode: one_iteration(work, mode) for mode in RECOMPUTE_MODES}
    return {way: ((one - wanted).abs().max() / wanted.abs().max()).item() for way, one in found.items()}


def _other_stages(work: Workload) -> dict[str, Callable[[], object]]:
    model, settings = work.model, work.settings
    index = next(filter(settings.has_guidance, range(settings.num_inference_steps)), 0)  # one that costs most
    clean = work.latents / work.sigma

    @torch.no_grad()
    def step() -> None:
        euler_step(model, work.conditioning, work.latents, settings, make_schedule(model, settings), index)

    return {"denoising step": step, "decode": lambda: decode_latents(model, clean, settings.decode_chunk_size)}


def _mib(size: float) -> float:
    return round(size / 2**20, 1)
