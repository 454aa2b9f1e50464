"""Optimise the noisy latents so that the features follow the paths (algorithm 1).

Here are the iterations within one denoising step. Algorithm 1's loop over steps is in `sampling.denoise`, the choice of
steps in `Settings.is_control_step`, the loss in loss.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from sgi2v_lab.features import assemble, features_with_graph
from sgi2v_lab.loss import LossTerms, trajectory_loss
from sgi2v_lab.models.model import Conditioning, Layer, Model
from sgi2v_lab.shapes import CellBoxes, Latents

__all__ = ["OPTIMIZERS", "NormalizedSGD", "OptimizeStep", "optimize_latents"]


@dataclass(frozen=True)
class OptimizeStep:
    """One iteration; `loss` and `mean_errors` are copied from the device only when read."""

    iteration: int
    loss_terms: LossTerms  # before this iteration's update, without a graph
    gradient: Latents  # of the loss with respect to the latents
    latents: Latents  # after the update, fp32; before it where `early_stop` dropped it

    @cached_property
    def loss(self) -> float:
        """The loss before this iteration's update."""
        return self.loss_terms.total.item()

    @property
    def mean_errors(self) -> Float[Tensor, "boxes frames"]:
        """Mean error of each box in each frame before the update; NaN where it does not count."""
        return self.loss_terms.mean_errors.cpu()


def optimize_latents(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    cells: CellBoxes,
    *,
    layers: tuple[Layer, ...] = ((2, 1), (2, 2)),
    features: str = "aligned",
    gaussian_sigma: float | None = 0.4,
    iterations: int = 5,
    learning_rate: float = 0.21,
    make_optimizer: Callable[..., Optimizer] = AdamW,
) -> Iterator[OptimizeStep]:
    """Optimise noisy latents (frames, channels, h, w) at noise level sigma; yields after each iteration.

        repeat:  z <- AdamW(z, grad_z L(features(z)))

    The defaults are the paper's (section 4 and appendix). Each call makes a new optimiser, so that momentum does not
    leak from one noise level into the next. Latents and loss are always fp32. To stop early, leave the loop.

    Args:
        model: from `load_model`.
        latents: the noisy latents at this step.
        sigma: their noise level.
        conditioning: of the first frame, from `encode_image`.
        cells: boxes in latent cells (boxes, frames, 4), from `latent_cells`.
        layers: whose features are compared (section 4.3).
        features: kind of features, as in `record_features`.
        gaussian_sigma: width of the loss's Gaussian weight, in half-sizes of a box; None for equal weights.
        iterations: steps of the optimiser.
        learning_rate: in units of the latents.
        make_optimizer: called as make_optimizer([latents], lr=learning_rate).

    Raises:
        InputError: an unknown layer or kind, or boxes with nothing to follow.
    """
    cells = cells.cpu()  # every iteration reads their values
    z = latents.detach().float().clone().requires_grad_(True)
    optimizer = make_optimizer([z], lr=learning_rate)
    for iteration in range(iterations):
        with torch.enable_grad(), features_with_graph(model, z, sigma, conditioning, layers, features) as maps:
            loss = trajectory_loss(assemble(maps, tuple(z.shape[-2:])), cells, gaussian_sigma)
            z.grad = torch.autograd.grad(loss.total, z)[0]  # backward() would also reach weights that are not frozen
        gradient = z.grad.clone()  # an optimiser may change z.grad
        optimizer.step()
        loss_terms = LossTerms(loss.total.detach(), loss.terms.detach(), loss.weights)
        yield OptimizeStep(iteration, loss_terms, gradient, z.detach().clone())


class NormalizedSGD(SGD):
    """Gradient descent with the gradient divided by its largest element.

    Adam scales each element by its own history, so *every* latent moves by about the learning rate. Here only the
    latents that matter most do, for models that do not tolerate more.
    """

    def step(self, closure: None = None) -> None:
        """One update."""
        for group in self.param_groups:
            for z in group["params"]:
                z.grad = z.grad / z.grad.abs().amax().clamp(min=1e-30)
        super().step(closure)


OPTIMIZERS: dict[str, type[Optimizer]] = {"adamw": AdamW, "adam": Adam, "sgd": SGD, "normalized": NormalizedSGD}
