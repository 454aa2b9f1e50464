"""Latent optimisation: nudge the noisy latents until the features follow the path (section 3.2, algorithm 1)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sgi2v_lab.features import assemble, features_for_gradient
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.models import Conditioning, Model
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Latents

__all__ = ["OptimizeStep", "optimize_latents"]


@dataclass(frozen=True)
class OptimizeStep:
    """One iteration of the optimiser."""

    iteration: int
    loss: float  # before this iteration's update
    terms: Float[Tensor, "boxes frames"]  # mean error of each box in each frame, before the update; NaN: not counted
    gradient: Latents  # of the loss with respect to the latents
    latents: Latents  # after the update, fp32


def optimize_latents(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    cells: Int[Tensor, "boxes frames 4"],
    settings: Settings,
) -> Iterator[OptimizeStep]:
    """Optimise noisy latents (frames, channels, h, w) at noise level sigma; yields after every iteration.

    The optimiser is fresh, so that momentum does not leak from one noise level into the next. With
    `settings.relative_rate` the learning rate is in units of sigma: at SVD's guided steps 0.21 is a small nudge (sigma
    is 37 to 374 there), while the same step at a small model's sigma of 5 would be a shove. Latents and loss are fp32,
    whatever the model's precision. Stop early by leaving the loop.

    Adam, the paper's choice, moves *every* latent by about the rate, however small its gradient is, since it divides
    each gradient by its own size. Where a model does not forgive that, and the picture changes in places that have
    nothing to do with the boxes, take `optimizer="normalized"`: gradient descent with the gradient divided by its
    largest element, so that only the latents that matter most move by the rate.
    """
    model.check_layers(settings.layers)
    x = latents.detach().float().clone().requires_grad_(True)
    rate = settings.learning_rate * (float(sigma) if settings.relative_rate else 1.0)
    optimizer = _make_optimizer(x, settings, rate)
    for iteration in range(settings.iterations):
        with (
            torch.enable_grad(),
            features_for_gradient(
                model, x, sigma, conditioning, settings.layers, settings.features, settings.checkpointing
            ) as features,
        ):
            result = trajectory_loss(assemble(features, tuple(x.shape[-2:])), cells, settings.gaussian_sigma)
            (x.grad,) = torch.autograd.grad(result.total, x)
        gradient = x.grad.clone()
        if settings.optimizer == "normalized":
            x.grad /= x.grad.abs().max().clamp(min=1e-30)
        optimizer.step()
        yield OptimizeStep(iteration, result.total.item(), result.per_box_and_frame.cpu(), gradient, x.detach().clone())


def _make_optimizer(x: Tensor, settings: Settings, rate: float) -> torch.optim.Optimizer:
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam([x], lr=rate)
        case "sgd" | "normalized":
            return torch.optim.SGD([x], lr=rate)
    return torch.optim.AdamW([x], lr=rate, weight_decay=settings.weight_decay)
