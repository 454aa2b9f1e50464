"""Compare the features in each box with those in the same object's box in the first frame (equation 2)."""

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


def gaussian_weight(h: int, w: int, gaussian_sigma: float | None = 0.4) -> Mask:
    """Weight exp(-(r^2 - r_min^2) / (2 gaussian_sigma^2)) of each place in a box of (h, w) cells; the largest is 1.

    r is the distance from the middle of the box, which spans -1..1 in both directions, so `gaussian_sigma` is in
    half-sizes of the box; None gives ones. InputError if it is zero or less.
    """
    if gaussian_sigma is None:
        return torch.ones(h, w)
    if not gaussian_sigma > 0:
        raise InputError(f"gaussian_sigma is {gaussian_sigma}, but must be above 0, or None for equal weights")
    y, x = ((2 * torch.arange(n).double() + 1) / n - 1 for n in (h, w))
    r2 = y[:, None] ** 2 + x**2
    return torch.exp(-(r2 - r2.min()) / gaussian_sigma / gaussian_sigma / 2).float()  # its square might be zero


_cached_weight = lru_cache(maxsize=256)(gaussian_weight)  # every iteration needs the same few weights


@dataclass(frozen=True)
class LossTerms:
    """The loss and its parts."""

    total: Float[Tensor, ""]  # sum of `terms` / sum of `weights`
    terms: Float[Tensor, "boxes frames"]  # weighted squared error; 0 in frame 0 and where a box is out of sight
    weights: Float[Tensor, "boxes frames"]  # sum of the weights in each term

    @property
    def mean_errors(self) -> Float[Tensor, "boxes frames"]:
        """Weighted mean of the squared error of each box in each frame, detached; NaN where the weights are zero."""
        return (self.terms / self.weights).detach()


def trajectory_loss(
    features: Features, cells: Int[Tensor, "boxes _frames 4"], gaussian_sigma: float | None = 0.4
) -> LossTerms:
    """Compare an object's box in every later frame with its box in the first frame, which carries no gradient.

        L = sum W mean_c (F_f[box in f] - F_0[box in 0])^2 / sum W      over boxes, frames f >= 1 and places in the box

    Places outside the map don't count. A box wholly outside in a frame is skipped there. If the box changes size, the
    first-frame features are resized bilinearly. InputError: a wrong shape, a box outside in frame 0, or none inside
    later. As in the paper's code, equation 2's norm is squared, a mean over channels, and weighted by W.

    Args:
        features: maps at latent resolution (frames, channels, h, w), from `assemble`.
        cells: boxes (boxes, frames, 4), from `latent_cells`. x1 and y1 are exclusive; a box may extend beyond the map.
        gaussian_sigma: of the weight W, as in `gaussian_weight`.
    """
    frames, _, h, w = check_maps(features).shape
    if not isinstance(cells, Tensor) or cells.is_floating_point() or cells.shape[1] != frames:
        shape = tuple(getattr(cells, "shape", ()))
        raise InputError(f"boxes of shape {shape}: expected whole cells in {frames} frames, from latent_cells")
    maps = features.unbind(0)  # so that the gradient of a crop fills one frame, not the whole video
    terms = [[features.new_zeros(())] * frames for _ in cells]
    weights = torch.zeros(len(cells), frames)
    for n, (first_box, *boxes) in enumerate(cells.tolist()):
        target, target_mask = _first_frame_target(maps[0].detach(), first_box)
        for f, box in enumerate(boxes, start=1):
            on_map, in_box = _visible(box, h, w)
            crop = maps[f][:, *on_map]
            if crop.numel():
                size = (box[3] - box[1], box[2] - box[0])
                target_crop = _resized(target, size, "bilinear")[:, *in_box]
                weight = (_cached_weight(*size, gaussian_sigma) * _resized(target_mask, size, "nearest")[0])[in_box]
                weights[n, f] = weight.sum()
                terms[n][f] = (upload(weight, crop) * (crop - target_crop).square().mean(dim=0)).sum()
    if not weights.any():
        raise InputError("no box is inside the picture in any frame after the first, so there is nothing to follow")
    table = torch.stack([torch.stack(row) for row in terms])
    return LossTerms(table.sum() / weights.sum().item(), table, upload(weights, table))


def _visible(box: list[int], h: int, w: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The visible part of a box (x0, y0, x1, y1), as (rows, columns) of the map (h, w) and of the box."""
    x0, y0, x1, y1 = box
    top, left = max(y0, 0), max(x0, 0)
    bottom, right = max(min(y1, h), top), max(min(x1, w), left)
    return (slice(top, bottom), slice(left, right)), (slice(top - y0, bottom - y0), slice(left - x0, right - x0))


def _first_frame_target(maps: Tensor, box: list[int]) -> tuple[Tensor, Tensor]:
    """The features in a box (channels, rows, columns), edges repeated beyond the map; and a mask, 0 beyond the map."""
    on_map, (rows, columns) = _visible(box, *maps.shape[1:])
    if rows.start == rows.stop or columns.start == columns.stop:
        raise InputError(f"a box is at cells {tuple(box)} in the first frame, outside the grid; move it inside")
    beyond = (columns.start, box[2] - box[0] - columns.stop, rows.start, box[3] - box[1] - rows.stop)
    crop = maps[None, :, *on_map]
    return F.pad(crop, beyond, mode="replicate")[0], F.pad(torch.ones(1, *crop.shape[2:]), beyond)


def _resized(maps: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    return maps if maps.shape[1:] == size else F.interpolate(maps[None], size=size, mode=mode)[0]
