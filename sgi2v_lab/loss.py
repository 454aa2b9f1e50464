"""The trajectory loss: along its path, what is in a box should look to the UNet as it did in the first frame.

For every box and later frame, the features inside the box are compared with those inside the first frame's box, which
carry no gradient. Equation 2 of the paper, with its Gaussian weight.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Features, Mask

__all__ = ["LossTerms", "gaussian_weight", "trajectory_loss"]


def gaussian_weight(h: int, w: int, sigma: float | None = 0.4) -> Mask:
    """Weight of each cell of a box (h, w): a Gaussian around its middle, its peak 1.

    `sigma` is in half-sizes of the box, per direction; None gives ones. A box of one cell weighs 1. InputError for a
    sigma of zero or less.
    """
    if sigma is None:
        return torch.ones(h, w)
    if not sigma > 0:
        raise InputError(f"the Gaussian's sigma is {sigma}, but must be above 0, or None for equal weights")
    y, x = ((2 * torch.arange(n).double() + 1) / n - 1 for n in (h, w))  # the cells' middles; the box spans -1..1
    squared = y[:, None] ** 2 + x[None, :] ** 2
    # counted from the nearest cell, which makes the peak 1 even where a small sigma would leave nothing but zeros
    return torch.exp(-((squared - squared.min()).sqrt() / sigma).pow(2) / 2).float()


@dataclass(frozen=True)
class LossTerms:
    """The loss and what it is made of."""

    total: Float[Tensor, ""]  # sum of `terms` over the sum of `weights`
    terms: Float[Tensor, "boxes frames"]  # weighted squared error; zero in frame 0 and where a box is out of sight
    weights: Float[Tensor, "boxes frames"]  # the sum of the weights behind each term

    @property
    def per_box_and_frame(self) -> Float[Tensor, "boxes frames"]:
        """Each box's own mean error in each frame, detached; NaN where it does not count."""
        return (self.terms / self.weights).detach()


def trajectory_loss(features: Features, cells: Int[Tensor, "boxes _frames 4"], sigma: float | None = 0.4) -> LossTerms:
    """Compare every box in every later frame with the same box in the first frame.

    Args:
        features: maps at latent resolution (frames, channels, h, w), from `assemble`.
        cells: boxes in latent cells (boxes, frames, 4), from `latent_cells`: half-open, may reach beyond the map.
        sigma: of the Gaussian weight, in half-sizes; None for equal weights.

    Returns:
        The squared error averaged over channels, weighted over the box's cells, summed over boxes and frames and
        divided by the sum of the weights. Cells outside the map, of the box or of the first frame's, do not count; a
        box wholly outside in some frame is skipped there; a target of another size is resized bilinearly.

    Raises:
        InputError: if the frames do not match, or no box is to be seen in any later frame.
    """
    frames, _, h, w = features.shape
    if cells.shape[1] != frames:
        raise InputError(f"the boxes have {cells.shape[1]} frames, but the features have {frames}")
    if not len(cells):
        raise InputError("there are no boxes, but at least one is needed to follow; draw or load one")
    terms, weights = [], []
    for box in cells.tolist():
        target, valid = _first_frame_crop(features[0].detach(), box[0])
        zero = features.new_zeros(())
        box_terms, box_weights = [zero], [zero]
        for f in range(1, frames):
            x0, y0, x1, y1 = box[f]
            left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, w), min(y1, h)
            if left >= right or top >= bottom:  # out of sight
                box_terms.append(zero)
                box_weights.append(zero)
                continue
            wanted, seen = _resize(target, valid, (y1 - y0, x1 - x0))
            weight = gaussian_weight(y1 - y0, x1 - x0, sigma).to(features) * seen
            inside = (slice(top - y0, bottom - y0), slice(left - x0, right - x0))
            error = (features[f, :, top:bottom, left:right] - wanted[(slice(None), *inside)]).pow(2).mean(dim=0)
            box_terms.append((weight[inside] * error).sum())
            box_weights.append(weight[inside].sum())
        terms.append(torch.stack(box_terms))
        weights.append(torch.stack(box_weights))
    terms, weights = torch.stack(terms), torch.stack(weights)
    if not weights.sum() > 0:
        raise InputError("no box is inside the picture in any frame after the first, so there is nothing to follow")
    return LossTerms(terms.sum() / weights.sum(), terms, weights)


def _first_frame_crop(feature: Tensor, box: list[int]) -> tuple[Tensor, Tensor]:
    """The box's cells (channels, bh, bw) with edges repeated beyond the map, and which of them are real (bh, bw)."""
    _, h, w = feature.shape
    x0, y0, x1, y1 = box
    if x1 <= 0 or y1 <= 0 or x0 >= w or y0 >= h:
        raise InputError(
            f"a box is at cells {tuple(box)} in the first frame, outside the {w} x {h} grid; move it inside"
        )
    rows, columns = (torch.arange(a, b, device=feature.device) for a, b in ((y0, y1), (x0, x1)))
    real = ((rows >= 0) & (rows < h))[:, None] & ((columns >= 0) & (columns < w))[None, :]
    return feature[:, rows.clamp(0, h - 1)][:, :, columns.clamp(0, w - 1)], real.to(feature)


def _resize(target: Tensor, valid: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    if tuple(valid.shape) == size:
        return target, valid
    target = F.interpolate(target[None], size=size, mode="bilinear", align_corners=False)[0]
    return target, F.interpolate(valid[None, None], size=size, mode="nearest")[0, 0]
