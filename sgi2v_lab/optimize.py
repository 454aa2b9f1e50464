"""Latent optimisation: nudge the noisy latents until the features follow the paths (algorithm 1)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from sgi2v_lab.features import assemble, features_with_graph
from sgi2v_lab.loss import LossTerms, trajectory_loss
from sgi2v_lab.models.model import Conditioning, Layer, Model
from sgi2v_lab.shapes import Latents

__all__ = ["OPTIMIZERS", "NormalizedSGD", "OptimizeStep", "optimize_latents"]


@dataclass(frozen=True)
class OptimizeStep:
    """One iteration; `loss` and `terms` are copied from the device only when read."""

    iteration: int
    found: LossTerms  # before this iteration's update, without a graph
    gradient: Latents  # of the loss with respect to the latents
    latents: Latents  # after the update, fp32

    @cached_property
    def loss(self) -> float:
        """Before this iteration's update."""
        return self.found.total.item()

    @property
    def terms(self) -> Float[Tensor, "boxes frames"]:
        """Mean error of each box in each frame, before the update; NaN where it does not count."""
        return self.found.per_box_and_frame.cpu()


def optimize_latents(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    cells: Int[Tensor, "boxes frames 4"],
    *,
    layers: tuple[Layer, ...] = ((2, 1), (2, 2)),
    features: str = "aligned",
    gaussian_sigma: float | None = 0.4,
    iterations: int = 5,
    learning_rate: float = 0.21,
    optimizer: Callable[..., Optimizer] = AdamW,
) -> Iterator[OptimizeStep]:
    """Optimise noisy latents (frames, channels, h, w) at noise level sigma; yields after every iteration.

        repeat:  z <- AdamW(z, grad_z L(features(z)))

    The defaults are the paper's (section 4 and appendix). The optimiser is fresh at every call, so that momentum does
    not leak from one noise level into the next. Latents and loss are always fp32. To stop early, leave the loop.

    Args:
        model: from `load_model`.
        latents: as the denoising step found them.
        sigma: their noise level.
        conditioning: of the first frame, from `encode_image`.
        cells: boxes in latent cells (boxes, frames, 4), from `latent_cells`.
        layers: whose features are compared (section 4.3).
        features: kind of features, as in `record_features`.
        gaussian_sigma: of the loss's weight, in half-sizes of a box; None for equal weights.
        iterations: steps of the optimiser.
        learning_rate: in units of the latents.
        optimizer: called with the latents and the rate.

    Raises:
        InputError: an unknown layer or kind, or boxes with nothing to follow.
    """
    cells = cells.cpu()  # their values are read at every iteration
    z = latents.detach().float().clone().requires_grad_(True)
    update = optimizer([z], lr=learning_rate)
    for iteration in range(iterations):
        with torch.enable_grad(), features_with_graph(model, z, sigma, conditioning, layers, features) as maps:
            loss = trajectory_loss(assemble(maps, tuple(z.shape[-2:])), cells, gaussian_sigma)
            (z.grad,) = torch.autograd.grad(loss.total, z)
        gradient = z.grad.clone()
        update.step()
        found = LossTerms(loss.total.detach(), loss.terms.detach(), loss.weights)
        yield OptimizeStep(iteration, found, gradient, z.detach().clone())


class NormalizedSGD(SGD):
    """Gradient descent with the gradient divided by its largest element.

    Adam divides each element by its own size, and so moves *every* latent by about the rate. For models that do not
    tolerate that, this moves only the latents that matter most.
    """

    def step(self, closure: None = None) -> None:
        """One update."""
        for group in self.param_groups:
            for z in group["params"]:
                z.grad = z.grad / z.grad.abs().amax().clamp(min=1e-30)
        super().step(closure)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": SGD,
    "normalized": NormalizedSGD,
}
