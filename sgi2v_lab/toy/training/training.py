"""What every training run here needs: a time budget, averaged weights, and checkpoints that survive a kill."""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from sgi2v_lab.models.presets import fast_precision
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW

__all__ = [
    "Clock",
    "average_gradients",
    "draw_normals",
    "learning_rate",
    "load_average",
    "load_checkpoint",
    "log_line",
    "mixed_precision",
    "resume_training",
    "save_checkpoint",
    "save_training",
    "update_ema",
]


def mixed_precision(device: str | torch.device = "cpu") -> torch.autocast:
    """A context in which matrix products are in bf16; on CPUs that would only emulate it, nothing changes in it."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" or fast_precision(kind) == "bf16")


class Clock:
    """A time budget that is counted across restarts, and the learning rate that follows from it."""

    def __init__(self, seconds: float, spent: float = 0.0):
        self.seconds, self.spent, self.started = seconds, spent, time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds trained, earlier runs counted in."""
        return self.spent + time.monotonic() - self.started

    @property
    def fraction(self) -> float:
        """How much of the budget is gone, 0..1."""
        return min(1.0, self.elapsed / self.seconds)

    def is_over(self) -> bool:
        """Whether the budget is spent. All processes of a run must agree on that, so the first one's clock decides."""
        over = torch.tensor([float(self.fraction >= 1)])
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(over, 0)
        return bool(over)

    def learning_rate(self, peak: float, step: int, warmup: int) -> float:
        """Linear warm-up over steps, then a cosine over the time budget down to 2% of the peak."""
        return peak * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * (1 + math.cos(math.pi * self.fraction)) / 2)


def learning_rate(peak: float, step: int, clips: int, *, warmup: int, until: int = 0, cooldown: int = 0) -> float:
    """Linear warm-up over steps, then the peak for as long as one likes.

    With `until`, the clips after which a run ends, it falls linearly to zero over the last `cooldown` of them (Haegele
    et al. 2024, arXiv 2405.18392: as good as a cosine, and a run need not know its length beforehand).
    """
    rate = peak * min(1.0, (step + 1) / warmup)
    return rate * min(1.0, max(0.0, (until - clips) / cooldown)) if until and cooldown else rate


def draw_normals(count: int, mean: float, std: float, generator: torch.Generator | None = None) -> Tensor:
    """Normal numbers, one from each of `count` equal slices of the distribution: less noise in the loss."""
    u = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return mean + std * math.sqrt(2) * torch.erfinv(2 * u - 1)


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, step: int, decay: float = 0.999) -> None:
    """Exponential moving average of the weights; the decay warms up so that early weights are forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def average_gradients(parameters: list[Tensor]) -> None:
    """Average gradients over the processes of a data-parallel run (nothing to do in a single one)."""
    if not (dist.is_available() and dist.is_initialized()):
        return
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for p, piece in zip(parameters, flat.split([g.numel() for g in grads]), strict=True):
        p.grad = piece.view_as(p)


def save_checkpoint(path: Path, **state) -> None:
    """Write a checkpoint under a temporary name, then rename it: a kill never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path) -> dict | None:
    """The checkpoint at `path`, or None where there is none yet."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def load_average(path: Path, make: Callable[[], nn.Module], device: torch.device | str = "cpu") -> nn.Module | None:
    """The averaged network of a checkpoint, for looking at what it makes, or None where there is none yet."""
    if (state := load_checkpoint(path)) is None:
        return None
    network = make().eval().requires_grad_(False)
    network.load_state_dict(state["average"])
    return network.to(device)


def save_training(
    path: Path, model: nn.Module, average: nn.Module, optimizer: Optimizer | MuonWithAdamW, **counters: float
) -> None:
    """Write a checkpoint from which `resume_training` goes on."""
    states = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    save_checkpoint(path, **states, **counters)


def resume_training(
    path: Path, model: nn.Module, average: nn.Module, optimizer: Optimizer | MuonWithAdamW
) -> dict[str, float]:
    """Go on where the checkpoint at `path` was written: give all three their states, and return the counters.

    Where there is no checkpoint yet, nothing changes and there are no counters. One that was unpacked from an exported
    toy has no state for the optimiser, which then starts afresh.
    """
    state = load_checkpoint(path) or {}
    if state:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        if state["optimizer"] is not None:
            optimizer.load_state_dict(state["optimizer"])
    return {name: value for name, value in state.items() if name not in ("model", "average", "optimizer")}


def log_line(path: Path, **figures) -> None:
    """Append one JSON line to the log and print it."""
    line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)
