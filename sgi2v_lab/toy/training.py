"""What every training run here needs: a time budget, averaged weights, and checkpoints that survive a kill."""

import json
import math
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["Clock", "average_gradients", "load_checkpoint", "log_line", "save_checkpoint", "update_ema"]


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

    def learning_rate(self, peak: float, step: int, warmup: int) -> float:
        """Linear warm-up over steps, then a cosine over the time budget down to 2% of the peak."""
        return peak * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * (1 + math.cos(math.pi * self.fraction)) / 2)


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


def log_line(path: Path, **figures) -> None:
    """Append one JSON line to the log and print it."""
    line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)
