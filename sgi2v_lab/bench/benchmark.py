"""`sgi2v bench`: operations, seconds and memory of each stage, beside the reference recipe, in one record.

`bench` computes; `count` only counts, on the device "meta", which takes half a minute even for SVD at full size.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from sgi2v_lab.bench.measure import matmul_rate, measure_peak, once
from sgi2v_lab.bench.networks import network
from sgi2v_lab.bench.reference_recipe import reference_precision, reference_step
from sgi2v_lab.bench.stages import Workload, count_memory, count_stages, one_iteration, reference_iteration, workload
from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES, recomputing
from sgi2v_lab.errors import InputError
from sgi2v_lab.latents import decode_latents
from sgi2v_lab.sampling import control_step, euler_step, make_schedule

__all__ = ["DEFINITIONS", "bench", "count"]

REFERENCE = "reference"
LONG = 1800  # seconds at best, from which on a warning suggests `count`
DEFINITIONS = {
    "tflop": "operations of matrix products, convolutions and attention, forward, backward and recomputed",
    "seconds": "median of the repeats; in each repeat all ways take turns, starting with another one",
    "peak_mib": "most memory in use beyond the weights and what else was there before (`measure.measure_peak`); median",
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
    """Measure a network; returns a record of plain values for JSON, with definitions.

    Args:
        name: one of `networks.NETWORKS`.
        device: as in `load_model`.
        dtype: as in `load_model`.
        boxes: how many are followed.
        repeats: of everything that is timed.
        changes: settings that differ from the network's own.
        tell: called with a line about what comes next.

    Raises:
        InputError: an unknown network, a setting that cannot be used, or less than one box or repeat.
    """
    _check(boxes=boxes, repeats=repeats)
    model = network(name, device, dtype)
    settings = model.settings.replace(**changes or {})
    work = workload(model, settings, boxes)
    tell("counting operations and memory")
    counts, tensors = count_stages(model, settings, boxes), count_memory(model, settings, boxes)
    rate = matmul_rate(model.device, model.dtype)
    tell("time of a control step, in each way")
    steps = control_steps(work)
    at_best = sum(settings.iterations * counts[f"control iteration, {way}"] for way in steps) * (1 + 2 * repeats) / rate
    if at_best > LONG:
        tell(f"this takes at least {at_best / 3600:.1f} hours here; `count` (--count-only) takes half a minute")
    seconds = alternate(steps, repeats, model.device)
    necessary = settings.iterations * counts["control iteration, fast"]
    control = {}
    tell("memory of a control step, in each way")
    peaks, how = alternate_memory(steps, repeats, model.device)
    for way in steps:
        flops = settings.iterations * counts[f"control iteration, {way}"]
        control[way] = _row(seconds[way], flops, rate, necessary) | {
            "peak_mib": _mib(peaks[way]),
            "memory_measured_by": how,
            "tensors_mib": _mib(tensors[f"control step, {way}"]),
        }
    for row in control.values():
        row["time_ratio"] = round(row["seconds"] / control[REFERENCE]["seconds"], 4)
        row["memory_ratio"] = round(row["peak_mib"] / max(control[REFERENCE]["peak_mib"], 1e-9), 4)
    _compare_counts(control)
    tell("the other stages")
    stages = _stages(work, repeats, counts, rate)
    for stage, row in stages.items():
        row["tensors_mib"] = _mib(tensors[stage])
    return {
        "bench": name,
        **describe_machine(str(model.device)),
        "dtype": str(model.dtype).removeprefix("torch."),
        "settings": settings.as_dict(),
        "frames": len(work.latents),
        "boxes": boxes,
        "repeats": repeats,
        "matmul_tflops": rate / 1e12,
        "weights_mib": _mib(tensors["weights"]),
        "control_step": control,
        "gradient_error": gradient_errors(work),
        "stages": stages,
        "counts_tflop": {stage: count / 1e12 for stage, count in counts.items()},
        "floor_of_a_video_seconds": counts["video"] / rate,
        "definitions": DEFINITIONS,
    }


def count(
    name: str = "svd", *, dtype: str | None = None, boxes: int = 2, changes: dict | None = None
) -> dict[str, object]:
    """Operations and memory of a network that is never computed; a record like that of `bench`, without measurements.

    `dtype` is "fp16" for "svd" if left out, as on a GPU, else "fp32". Raises InputError as `bench` does.
    """
    _check(boxes=boxes)
    # the toy's weights are read nevertheless: they say which of its decoder's blocks do nothing
    model = network(name, "cpu" if name == "toy" else "meta", dtype or ("fp16" if name == "svd" else "fp32"))
    settings = model.settings.replace(**changes or {})
    counts, tensors = count_stages(model, settings, boxes), count_memory(model, settings, boxes)

    def row(operations: int, memory: str) -> dict[str, float]:
        return {"tflop": operations / 1e12, "tensors_mib": _mib(tensors[memory])}

    control = {
        way: row(settings.iterations * counts[f"control iteration, {way}"], f"control step, {way}")
        for way in (REFERENCE, *RECOMPUTE_MODES)
    }
    _compare_counts(control)
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


def control_steps(work: Workload) -> dict[str, Callable[[], object]]:
    """A control step with all its iterations: in every memory mode, and by the reference recipe."""

    def step(mode: str) -> None:
        with recomputing(work.model, mode, max(work.settings.layers)):
            for _ in control_step(*work.given()):
                pass

    modes = {mode: partial(step, mode) for mode in RECOMPUTE_MODES}
    return {REFERENCE: lambda: reference_step(*work.given()), **modes}


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
    with reference_precision(work.model):
        wanted = reference_iteration(work)
    found = {mode: one_iteration(work, mode) for mode in RECOMPUTE_MODES}
    return {way: ((one - wanted).abs().max() / wanted.abs().max()).item() for way, one in found.items()}


def _stages(work: Workload, repeats: int, counts: dict[str, int], rate: float) -> dict[str, dict]:
    model, settings, device = work.model, work.settings, work.model.device
    index = next(filter(settings.has_guidance, range(settings.num_inference_steps)), 0)  # one that costs most

    @torch.no_grad()
    def step() -> None:
        euler_step(model, work.conditioning, work.latents, settings, make_schedule(model, settings), index)

    clean = work.latents / work.sigma
    ways = {"denoising step": step, "decode": lambda: decode_latents(model, clean, settings.decode_chunk_size)}
    times = alternate(ways, repeats, device)
    peaks, _ = alternate_memory(ways, repeats, device)
    rows = {}
    for stage in ways:
        rows[stage] = _row(times[stage], counts[stage], rate, counts[stage]) | {"peak_mib": _mib(peaks[stage])}
    return rows


def _check(**numbers: int) -> None:
    for word, number in numbers.items():
        if number < 1:
            raise InputError(f"{word} is {number}, but must be 1 at least")


def _compare_counts(control: dict[str, dict]) -> None:
    for row in control.values():
        row["operations_ratio"] = round(row["tflop"] / control[REFERENCE]["tflop"], 4)
        row["tensors_ratio"] = round(row["tensors_mib"] / control[REFERENCE]["tensors_mib"], 4)


def _mib(size: float) -> float:
    return round(size / 2**20, 1)


def _row(seconds: float, flops: int, rate: float, necessary: int) -> dict[str, float]:
    return {
        "tflop": flops / 1e12,
        "seconds": seconds,
        "share": round(flops / seconds / rate, 4),
        "floor": round(seconds / (necessary / rate), 3),
    }
