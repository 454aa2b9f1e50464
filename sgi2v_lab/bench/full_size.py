"""SVD's UNet at full size, computed once: a control step and a plain step, compared with the reference recipe.

    python -m sgi2v_lab.bench.full_size --out out/full_size.json        (or: make full-size)

Weights are random, from a fixed seed, and the video is small, so a CPU with 16 GB of memory can do it.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sgi2v_lab.bench.measure import measure_peak, once
from sgi2v_lab.bench.networks import network
from sgi2v_lab.bench.reference_recipe import Workload, reference_gradient, reference_precision
from sgi2v_lab.bench.stages import one_iteration, workload
from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.files import write_text
from sgi2v_lab.sampling import euler_step, make_schedule
from sgi2v_lab.shapes import Latents

__all__ = ["LIMITS", "compare_steps", "full_size"]

# Largest error, relative to the largest value. The reference computes gradients in fp32, so in 16 bits this is our own
# rounding: three units in the last place of bf16 (2^-7 each) where it was measured.
LIMITS = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 1e-2}


def full_size(
    dtype: str = "fp32",
    device: str | None = None,
    *,
    name: str = "svd",
    width: int = 192,
    height: int = 128,
    frames: int = 14,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, object]:
    """`compare_steps` of a network of `bench.networks` with random weights, for a small video; plain values for JSON.

    Raises:
        InputError: an unknown network, device or precision, or a size that does not divide.
    """
    tell("making the weights")
    model = network(name, device, dtype)
    settings = model.settings.replace(width=width, height=height, num_frames=frames, iterations=1)
    model.latent_shape(settings)
    found = compare_steps(workload(model, settings, boxes=2), tell)
    weights = sum(weight.nbytes for weight in model.unet.parameters())
    return {
        "network": name,
        **describe_machine(str(model.device)),
        **{"dtype": dtype, "width": width, "height": height, "frames": frames},
        "weights_gib": round(weights / 2**30, 3),
        **found,
        "limit": LIMITS[dtype],
        "passed": max(found["gradient_error"], found["step_error"]) <= LIMITS[dtype],
    }


def compare_steps(work: Workload, tell: Callable[[str], None] = lambda _: None) -> dict[str, float]:
    """One control iteration and one plain step, and the same by the reference recipe, on the same weights.

    Returns:
        "gradient_error" and "step_error", the largest differences of the gradient and of a step's latents, relative to
        the largest value; and of each the seconds, and the GiB beyond the weights.
    """
    found: dict[str, Tensor] = {}
    record: dict[str, float] = {}

    def measure(name: str, compute: Callable[[], Tensor]) -> None:
        tell(name)
        with measure_peak(work.model.device) as peak:
            taken = once(lambda: found.update({name: compute().float().cpu()}), work.model.device)
        record[f"{name}_seconds"] = round(taken, 2)
        record[f"{name}_gib"] = round(peak.bytes / 2**30, 3)

    measure("control", lambda: one_iteration(work, "full"))
    with reference_precision(work.model):
        measure("control_reference", lambda: reference_gradient(work))
    measure("plain", lambda: _step(work))
    measure("plain_reference", lambda: _step_by_formula(work))
    for name, error in (("control", "gradient_error"), ("plain", "step_error")):
        wanted = found[f"{name}_reference"]
        record[error] = ((found[name] - wanted).abs().max() / wanted.abs().max()).item()
    return record


@torch.no_grad()
def _step(work: Workload) -> Latents:
    index, settings = work.settings.control_steps[0], work.settings
    schedule = make_schedule(work.model, settings)
    return euler_step(work.model, work.conditioning, work.latents.float(), settings, schedule, index).prev_sample[0]


@torch.no_grad()
def _step_by_formula(work: Workload) -> Latents:
    """Equation 7 of Karras et al. 2022 (arXiv 2206.00364) with v-prediction, one branch of guidance after the other."""
    model, settings, index = work.model, work.settings, work.settings.control_steps[0]
    sigma, following = make_schedule(model, settings).sigmas[index : index + 2].tolist()
    z = work.latents.float()[None]
    told, scaled = work.conditioning, (z / (sigma**2 + 1) ** 0.5).to(model.dtype)
    time = torch.tensor(sigma, device=model.device).log() / 4
    with_picture = model.predict(scaled, time, told).float()
    both = told.with_unconditional()
    nothing = type(told)(both.embedding[:1], both.image_latents[:1], both.time_ids[:1])
    without = model.predict(scaled, time, nothing).float()
    scale = torch.linspace(settings.min_guidance_scale, settings.max_guidance_scale, z.shape[1], device=z.device)
    v = without + scale.view(1, -1, 1, 1, 1) * (with_picture - without)
    clean = z / (sigma**2 + 1) - v * sigma / (sigma**2 + 1) ** 0.5
    return (z + (following - sigma) * (z - clean) / sigma)[0]


def main() -> None:
    """Compare, print the record, and fail where a difference is too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=LIMITS, default="fp32", help="precision of the weights")
    parser.add_argument("--device", help="cpu or cuda; by default the best there is")
    parser.add_argument("--network", default="svd", help="svd, or miniature to try this program")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args()
    tell = lambda what: sys.stderr.write(f"{what} ...\n")  # noqa: E731
    record = full_size(given.dtype, given.device, name=given.network, tell=tell)
    text = json.dumps(record, indent=2) + "\n"
    if given.out:
        write_text(given.out, text)
    sys.stdout.write(text)
    if not record["passed"]:
        parser.exit(1, "a difference is larger than the limit\n")


if __name__ == "__main__":
    main()
