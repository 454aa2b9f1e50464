"""The trajectory loss: along its path, what is in a box should look as it did in the first frame (equation 2)."""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sgi2v_lab.efficiency.upload import upload
from sgi2v_lab.errors import InputError
from sgi2v_lab.features import check_maps
from sgi2v_lab.shapes import Features, Mask

__all__ = ["LossTerms", "gaussian_weight", "trajectory_loss"]


def gaussian_weight(h: int, w: int, sigma: float | None = 0.4) -> Mask:
    """Weight of each cell of a box (h, w): exp(-(x^2 + y^2) / (2 sigma^2)) over a box that spans -1..1; its peak is 1.

    `sigma` is in half-sizes of the box, in each direction; None gives ones. InputError for a sigma of zero or less.
    """
    if sigma is None:
        return torch.ones(h, w)
    if not sigma > 0:
        raise InputError(f"the Gaussian's sigma is {sigma}, but must be above 0, or None for equal weights")
    y, x = ((2 * torch.arange(n).double() + 1) / n - 1 for n in (h, w))  # the cells' middles
    squared = y[:, None] ** 2 + x[None, :] ** 2
    distance = (squared - squared.min()).sqrt()  # relative to the innermost cell, so that the peak is exactly 1
    return torch.exp(-((distance / sigma) ** 2) / 2).float()


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
    """Compare every box in every later frame with the same box in the first frame, which carries no gradient.

        L = sum W mean_c (F_f[box in f] - F_0[box in 0])^2 / sum W      over boxes, frames f >= 1 and cells

    Args:
        features: maps at latent resolution (frames, channels, h, w), from `assemble`.
        cells: boxes in latent cells (boxes, frames, 4), from `latent_cells`: half-open, may reach beyond the map.
        sigma: of the Gaussian weight W, in half-sizes; None for equal weights.

    Returns:
        The squared error averaged over channels, summed over cells, boxes and frames, and divided by the sum of the
        weights. Cells beyond the map, of the box or of the first frame's, do not count; a box wholly outside in some
        frame is skipped there; a target of another size is resized bilinearly.

    Raises:
        InputError: another number of frames, a box outside in the first frame, or none inside in any later one.
    """
    check_maps(features)
    frames, _, h, w = features.shape
    if not isinstance(cells, Tensor) or cells.is_floating_point():
        raise InputError("the boxes are not in whole cells: expected them as from latent_cells")
    if cells.shape[1] != frames:
        raise InputError(f"the boxes have {cells.shape[1]} frames, but the features have {frames}")
    maps = features.unbind(0)  # so that the backward pass of a crop fills one frame, not the whole video
    terms, weights = [[features.new_zeros(())] * frames for _ in cells], torch.zeros(len(cells), frames)
    for n, (start, *path) in enumerate(cells.tolist()):
        target, target_mask = _whole_box(maps[0].detach(), start)
        for f, box in enumerate(path, start=1):
            on_map, in_box = _visible(box, h, w)
            crop = maps[f][:, *on_map]
            if crop.numel():
                size = (box[3] - box[1], box[2] - box[0])
                target_crop = _resized(target, size, "bilinear")[:, *in_box]
                weight = (_weight(*size, sigma) * _resized(target_mask, size, "nearest")[0])[in_box]
                weights[n, f] = weight.sum()
                terms[n][f] = (upload(weight, crop) * (crop - target_crop).square().mean(dim=0)).sum()
    if not weights.any():
        raise InputError("no box is inside the picture in any frame after the first, so there is nothing to follow")
    table = torch.stack([torch.stack(row) for row in terms])
    return LossTerms(table.sum() / weights.sum().item(), table, upload(weights, table))


_weight = lru_cache(maxsize=256)(gaussian_weight)  # the same few boxes at every iteration


def _visible(box: list[int], h: int, w: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a box (x0, y0, x1, y1) is on a map (h, w), and which part of the box that is: (rows, columns) each."""
    x0, y0, x1, y1 = box
    top, left = max(y0, 0), max(x0, 0)
    bottom, right = max(min(y1, h), top), max(min(x1, w), left)
    return (slice(top, bottom), slice(left, right)), (slice(top - y0, bottom - y0), slice(left - x0, right - x0))


def _whole_box(maps: Tensor, box: list[int]) -> tuple[Tensor, Tensor]:
    """What is in a box, (channels, rows, columns), with the map's edge repeated beyond it; 1 where it is known."""
    on_map, (rows, columns) = _visible(box, *maps.shape[1:])
    if rows.start == rows.stop or columns.start == columns.stop:
        raise InputError(f"a box is at cells {tuple(box)} in the first frame, outside the grid; move it inside")
    beyond = (columns.start, box[2] - box[0] - columns.stop, rows.start, box[3] - box[1] - rows.stop)
    crop = maps[:, *on_map]
    return F.pad(crop[None], beyond, mode="replicate")[0], F.pad(torch.ones(1, *crop.shape[1:]), beyond)


def _resized(maps: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Maps (channels, h, w), resized if they have a different size."""
    return maps if maps.shape[1:] == size else F.interpolate(maps[None], size=size, mode=mode)[0]
