"""`sgi2v check-gpu`: what to run first on a new GPU. Each check says what it found and, if it fails, what to do.

It runs on a CPU as well, and says what it skipped there.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean

import torch
from diffusers import StableVideoDiffusionPipeline

from sgi2v_lab.bench.measure import matmul_rate, measure_peak
from sgi2v_lab.bench.networks import network
from sgi2v_lab.bench.stages import count_memory, count_stages, one_iteration, workload
from sgi2v_lab.efficiency.machine import describe_machine, total_memory
from sgi2v_lab.efficiency.memory import free_bytes
from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES
from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.models.load import load_model, pick_device, resolve
from sgi2v_lab.models.model import Model
from sgi2v_lab.models.summary import describe_model
from sgi2v_lab.pipeline import generate, generate_steps
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image, Latents
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory

__all__ = ["Check", "check_gpu"]

SAME = 0.02  # of the toy's losses, from one machine to another
CLOSE = 1.1  # times the counted memory: allocators round up, and libraries take workspaces


@dataclass(frozen=True)
class Check:
    """One thing that was tried: state "passed", "failed" or "skipped"."""

    name: str
    state: str
    found: str
    remedy: str = ""  # what to do about a failure
    values: dict[str, object] = field(default_factory=dict)


def check_gpu(device: str | None = None, model: str = "svd") -> Iterator[Check]:
    """Try the device, step by step; yields each check when it is done, and goes on after one that fails.

    The last check uses the weights of `model`, where they are here. InputError for an unknown device or model.
    """
    chosen, _ = pick_device(device), resolve(model)
    for name, check in (
        ("machine", lambda: _machine(chosen)),
        ("matrix product", lambda: _rate(chosen)),
        ("toy, compared with the CPU", lambda: _toy(chosen)),
        ("no control, compared with diffusers", lambda: _diffusers(chosen)),
        ("memory of a control step", lambda: _memory(chosen)),
        (f"a video of {model}", lambda: _video(chosen, model)),
    ):
        try:
            yield Check(name, *check())
        except Exception as error:  # whatever it is: the report is there to say so
            reason = (str(error).splitlines() or [""])[0][:300]
            yield Check(name, "failed", f"{type(error).__name__}: {reason}", _remedy(error))


def _remedy(error: Exception) -> str:
    if isinstance(error, InputError):
        return "do what the message says"
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "close other programs that use the GPU (nvidia-smi lists them), and run this again"
    return "attach this report to an issue"


Result = tuple[str, str, str, dict[str, object]]


def _machine(device: torch.device) -> Result:
    free = free_bytes(device) / 2**30
    values = {**describe_machine(str(device)), "memory": total_memory(str(device)), "free_gib": round(free, 2)}
    found = f"{values['device_name']}, torch {values['versions']['torch']}, {free:.1f} GiB free"
    if device.type != "cpu" and free < 10:
        return "failed", found, "SVD needs 10 GiB; close other programs on the GPU", values
    return "passed", found, "", values


def _rate(device: torch.device) -> Result:
    dtypes = (torch.float32,) if device.type == "cpu" else (torch.float32, torch.float16)
    rates = {str(dtype).removeprefix("torch."): matmul_rate(device, dtype) / 1e12 for dtype in dtypes}
    found = ", ".join(f"{name} {rate:.3g} TFLOP/s" for name, rate in rates.items())
    if rates.get("float16", 1.0) < rates["float32"] / 2:
        return "failed", found, "half precision is slow on this device: load models with dtype fp32", rates
    return "passed", found, "", rates


def _example(settings: Settings) -> tuple[Image, Trajectories]:
    """A bright square on a dark ground, and its box on the way across."""
    width, height = settings.width, settings.height
    picture = torch.full((3, height, width), 0.2)
    left, top, side = width // 8, height // 3, height // 3
    picture[:, top : top + side, left : left + side] = torch.tensor([0.9, 0.4, 0.2]).view(3, 1, 1)
    path = Trajectory.move((left, top, left + side, top + side), by=(width // 3, 0))
    return picture, Trajectories((width, height), (path,))


def _toy(device: torch.device) -> Result:
    losses = {}
    for where in dict.fromkeys(("cpu", str(device))):
        model = load_model("toy", where, "fp32")
        settings = model.settings.replace(num_inference_steps=8, control_steps=(1, 2), iterations=3, early_stop=None)
        picture, boxes = _example(settings)
        steps = generate_steps(model, picture, boxes, settings, seed=1)
        controlled = islice(steps, settings.control_steps[-1] + 1)  # what follows has no loss
        losses[where] = [loss for step in controlled for loss in step.losses]
    mine, wanted = losses[str(device)], losses["cpu"]
    error = max(abs(a - b) / b for a, b in zip(mine, wanted, strict=True))
    found = f"losses differ by {error:.1e} of their values at most; from {wanted[0]:.4g} to {wanted[-1]:.4g} on the CPU"
    state = "passed" if error <= SAME else "failed"
    return state, found, "" if state == "passed" else "attach this report to an issue", {"losses": losses}


def _diffusers(device: torch.device) -> Result:
    model = load_model("toy", device, "fp32")
    settings = model.settings.replace(num_inference_steps=3, control_steps=(0, 0))
    picture, _ = _example(settings)
    picture = (picture * 255).round() / 255
    steps = generate_steps(model, picture, None, settings, seed=1, memory="fast")
    *_, last = islice(steps, settings.num_inference_steps)  # nothing is decoded
    mine = last.latents.float().cpu()
    error = (mine - _diffusers_latents(model, picture, settings, 1)).abs().max().item()
    if error == 0:
        return "passed", "the same to the bit", "", {"difference": 0.0}
    share = error / mine.abs().max().item()
    remedy = "rounding: harmless below 1e-3; torch.use_deterministic_algorithms(True) may remove it"
    return "failed", f"latents differ by {share:.1e} of the largest", remedy, {"difference": share}


def _diffusers_latents(model: Model, picture: Image, settings: Settings, seed: int) -> Latents:
    parts = {**model.networks, "scheduler": model.scheduler, "feature_extractor": model.feature_extractor}
    pipeline = StableVideoDiffusionPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    names = ("height", "width", "num_inference_steps", "min_guidance_scale", "max_guidance_scale", "fps")
    told = {name: getattr(settings, name) for name in (*names, "motion_bucket_id", "noise_aug_strength")}
    generator = torch.Generator().manual_seed(seed)
    given = {"num_frames": model.num_frames(settings), "generator": generator, "output_type": "latent"}
    return pipeline(to_pil(picture), **told, **given).frames[0].float().cpu()


def _memory(device: torch.device) -> Result:
    if device.type != "cuda":
        found = "only CUDA's allocator counts tensors; `sgi2v bench svd --count-only` counts them anywhere"
        return "skipped", found, "", {}
    model = network("svd", device, "fp16")  # random weights, which take as much as real ones
    counts, work, rows, above = count_memory(model, boxes=2), workload(model, boxes=2), {}, []
    for mode in reversed(RECOMPUTE_MODES):
        counted = counts[f"control step, {mode}"]
        if counted > free_bytes(device):
            rows[mode] = f"needs {counted / 2**30:.1f} GiB, does not fit"
            continue
        with measure_peak(device) as peak:
            one_iteration(work, mode)
        rows[mode] = f"{peak.bytes / 2**30:.2f} GiB, counted {counted / 2**30:.2f}"
        above += [mode] * (peak.bytes > CLOSE * counted)
    found = "; ".join(f"{mode}: {row}" for mode, row in rows.items())
    if above:
        return "failed", found, f"{', '.join(above)} takes more than counted: is attention fused? Update torch", rows
    return "passed", found, "", rows


def _video(device: torch.device, name: str) -> Result:
    if device.type == "cpu":
        return "skipped", "it takes days on a CPU", "", {}
    if not describe_model(name).here:
        return "skipped", f"no weights of {name} here; accept the licence, then: hf download", "", {}
    model = load_model(name, device)
    picture, boxes = _example(model.settings)
    counts, rate = count_stages(model), matmul_rate(device, model.dtype)
    values: dict[str, object] = {}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for word, given in (("uncontrolled", None), ("controlled", boxes)):
            run = generate(model, picture, given, progress=False)
            values[word] = run.seconds
            if not run.video.isfinite().all() or not run.latents.isfinite().all():
                return "failed", f"the {word} video is not finite", "load with dtype bf16 or fp32", values
    values["share_of_rate"] = counts["video"] / sum(values["controlled"].values()) / rate
    values["losses"] = [fmean(losses) for losses in run.losses.values()]
    values["warnings"] = [str(each.message) for each in said if issubclass(each.category, RuntimeWarning)]
    times = ", ".join(f"{word} {sum(values[word].values()):.0f} s" for word in ("uncontrolled", "controlled"))
    return "passed", f"{times}; {values['share_of_rate']:.0%} of the rate of a matrix product", "", values
