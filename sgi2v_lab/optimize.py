"""Latent optimisation: nudge the noisy latents until the features follow the path (section 3.2, algorithm 1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sgi2v_lab.efficiency.memory import Memory
from sgi2v_lab.features import assemble, features_for_gradient
from sgi2v_lab.latents import Conditioning
from sgi2v_lab.loss import BoxSamples, LossTerms, compare_samples, join_samples, sample_boxes
from sgi2v_lab.models.load import Model
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Latents

__all__ = ["Carried", "OptimizeStep", "loss_gradient", "optimize_latents"]


@dataclass(frozen=True)
class OptimizeStep:
    """One iteration of the optimiser. Numbers are read from the device when they are asked for, not before."""

    iteration: int
    found: LossTerms  # before this iteration's update, still on the device
    gradient: Latents  # of the loss with respect to the latents
    latents: Latents  # after the update, fp32

    @property
    def loss(self) -> float:
        """Before this iteration's update."""
        return self.found.total.item()

    @property
    def terms(self) -> Float[Tensor, "boxes frames"]:
        """Mean error of each box in each frame, before the update; NaN where it does not count."""
        return self.found.per_box_and_frame.cpu()


@dataclass
class Carried:
    """What a guided step leaves to the next one of the same run; `optimize_latents` fills it in."""

    first_loss: Float[Tensor, " videos"] | None = None  # of the first iteration of all; for `settings.enough`
    optimizer: torch.optim.Optimizer | None = None  # where `settings.carry_optimizer`


def optimize_latents(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    cells: Int[Tensor, "boxes frames 4"] | Sequence[Int[Tensor, "_boxes _frames 4"]],
    settings: Settings,
    memory: Memory | None = None,
    carried: Carried | None = None,
) -> Iterator[OptimizeStep]:
    """Optimise noisy latents (frames, channels, h, w) at noise level sigma; yields after every iteration.

    Of several videos in one pass, whose frames lie one after the other, `cells` are those of each; each has its own
    loss, and their sum is what is reported as the loss. Where one has ended its step before the others, its own loss
    is NaN from then on, and its latents stay.

    The optimiser is fresh, so that momentum does not leak from one noise level into the next, unless
    `settings.carry_optimizer` and the one in `carried` goes on. With `settings.enough`, the step ends once its loss is
    below that share of the run's first loss: the latents are then left as they are, and the GPU is waited for. With
    `settings.relative_rate` the learning rate is in units of sigma: at SVD's guided steps 0.21 is a small nudge (sigma
    is 37 to 374 there), while the same step at a small model's sigma of 5 would be a shove. Latents and loss are fp32,
    whatever the model's precision. Stop early by leaving the loop. A GPU is given all iterations before it is asked
    for a number, unless the caller asks in between.

    Adam, the paper's choice, moves *every* latent by about the rate, however small its gradient is, since it divides
    each gradient by its own size. Where a model does not forgive that, and the picture changes in places that have
    nothing to do with the boxes, take `optimizer="normalized"`: gradient descent with the gradient divided by its
    largest element, so that only the latents that matter most move by the rate.

    `memory` says how much is kept for the backward passes; by default all, or little with `settings.checkpointing`.
    """
    model.check_layers(settings.layers)
    memory = memory or Memory(model, "full" if settings.checkpointing else "fast")
    each = [cells] if isinstance(cells, Tensor) else list(cells)
    videos, (_, _, h, w) = len(each), latents.shape
    shape = len(latents) // videos, h, w
    samples = join_samples([sample_boxes(one, shape, settings.gaussian_sigma, latents.device) for one in each])
    carried = carried or Carried()
    x = latents.detach().float().clone().requires_grad_(True)
    rate = settings.learning_rate * (float(sigma) if settings.relative_rate else 1.0)
    sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device)  # sent over once
    optimizer = _make_optimizer(x, settings, rate)
    if settings.carry_optimizer:
        if carried.optimizer is not None:
            optimizer.load_state_dict(carried.optimizer.state_dict())
            optimizer.param_groups[0]["lr"] = rate
        carried.optimizer = optimizer

    ended = torch.zeros(videos, dtype=torch.bool, device=x.device)
    for iteration in range(settings.iterations):
        loss, gradient = memory.attempt(
            lambda: loss_gradient(model, x, sigma, conditioning, samples, settings, memory.keep)
        )
        if settings.enough is not None:
            loss, ended = _judge(loss, ended, carried, settings.enough)
            if ended.all():
                yield OptimizeStep(iteration, loss, gradient, x.detach().clone())
                return
        before = x.detach().clone() if settings.enough is not None else None
        x.grad = gradient.clone()
        if settings.optimizer == "normalized":
            own = x.grad.view(videos, -1)  # a video does not move less because another one pulls more
            own /= own.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
        optimizer.step()
        if before is not None:  # momentum would move what has ended, too
            x.data = torch.where(ended.repeat_interleave(len(x) // videos).view(-1, 1, 1, 1), before, x.data)
        yield OptimizeStep(iteration, loss, gradient, x.detach().clone())


def _judge(
    loss: LossTerms, ended: Bool[Tensor, " videos"], carried: Carried, enough: float
) -> tuple[LossTerms, Bool[Tensor, " videos"]]:
    """The loss, without what had ended before, and which videos have ended now."""
    found = loss.total[None] if loss.per_video is None else loss.per_video
    if carried.first_loss is None:
        carried.first_loss = found
    if loss.per_video is not None:
        loss = replace(loss, per_video=found.masked_fill(ended, torch.nan))
    return loss, ended | (found < enough * carried.first_loss)


def loss_gradient(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    samples: BoxSamples,
    settings: Settings,
    keep: str = "fast",
) -> tuple[LossTerms, Latents]:
    """The loss of noisy latents (frames, channels, h, w) and its gradient, both without a graph.

    `samples` are of `sample_boxes`, for the latents' frames and size; `keep` is as in `features_for_gradient`. Nothing
    here waits for a GPU.
    """
    x = latents.detach().requires_grad_(True)
    with (
        torch.enable_grad(),
        features_for_gradient(model, x, sigma, conditioning, settings.layers, settings.features, keep) as features,
    ):
        loss = compare_samples(assemble(features, tuple(x.shape[-2:])), samples)
        (gradient,) = torch.autograd.grad(loss.total, x)
    return replace(loss, total=loss.total.detach(), terms=loss.terms.detach()), gradient


def _make_optimizer(x: Tensor, settings: Settings, rate: float) -> torch.optim.Optimizer:
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam([x], lr=rate)
        case "sgd" | "normalized":
            return torch.optim.SGD([x], lr=rate)
    return torch.optim.AdamW([x], lr=rate, weight_decay=settings.weight_decay)
