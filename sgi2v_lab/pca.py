"""Show features: principal components as colours, and similarity to one place."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.decomposition import PCA
from torch import Tensor

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.features import check_maps
from sgi2v_lab.shapes import Features, Video
from sgi2v_lab.trajectories.geometry import numbers

__all__ = ["Basis", "fit_pca", "similarity_maps"]


@dataclass(frozen=True)
class Basis:
    """Three principal components of features, and the values mapped to black and to full colour."""

    pca: PCA
    low: Float[Tensor, " 3"]
    high: Float[Tensor, " 3"]

    @property
    def explained(self) -> tuple[float, ...]:
        """Fraction of the variance that each component explains; zeros if nothing varies."""
        return tuple(0.0 if math.isnan(share) else share for share in self.pca.explained_variance_ratio_.tolist())

    def rgb(self, features: Features) -> Video:
        """Feature maps (frames, channels, h, w) as (frames, 3, h, w), 0..1; equal features get equal colours."""
        tokens = _tokens(features)
        if features.shape[1] != self.pca.n_features_in_:
            raise InputError(
                f"the features have {features.shape[1]} channels, but this basis was fitted to "
                f"{self.pca.n_features_in_}; fit one to these"
            )
        parts = torch.from_numpy(self.pca.transform(tokens.numpy())).float()
        colours = ((parts - self.low) / (self.high - self.low)).clamp(0, 1)
        frames, _, h, w = features.shape
        return colours.view(frames, h, w, 3).permute(0, 3, 1, 2).contiguous()


def _tokens(features: Tensor) -> Tensor:
    check_maps(features)
    if not features.isfinite().all():
        raise InputError("the features hold NaN or infinity: expected finite numbers, so look at what made them")
    return features.detach().float().cpu().permute(0, 2, 3, 1).flatten(0, 2)


def fit_pca(*features: Float[Tensor, "_frames _channels _h _w"]) -> Basis:
    """Fit one basis of three components to maps of any frames, steps or layers with the same number of channels.

    Colours are stretched so that the middle 96% of the values span each channel. Only maps drawn with the same basis
    can be compared. InputError without maps, or for fewer than 3 channels.
    """
    tokens = [_tokens(maps) for maps in features]
    if len({each.shape[1] for each in tokens}) != 1:
        raise InputError(f"the maps have {[f.shape[1] for f in features]} channels, but one basis needs equal numbers")
    tokens = torch.cat(tokens)
    if min(tokens.shape) < 3:
        raise InputError(f"three components need at least 3 channels and 3 cells, not {tuple(tokens.shape)}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "invalid value", RuntimeWarning)  # fractions of a variance of zero
        pca = PCA(n_components=3, svd_solver="full").fit(tokens.numpy())
    # a component's sign is arbitrary: make its largest weight positive, so that equal data give equal colours
    largest = pca.components_[range(3), abs(pca.components_).argmax(axis=1)]
    pca.components_ *= np.where(largest < 0, -1, 1)[:, None]
    parts = torch.from_numpy(pca.transform(tokens.numpy())).float()
    some = parts[:: max(1, len(parts) // 100_000)]  # torch.quantile refuses very large inputs
    low, high = (torch.quantile(some, q, dim=0) for q in (0.02, 0.98))
    return Basis(pca, low, torch.maximum(high, low + 1e-8))


def similarity_maps(
    features: Features,
    *,
    point: tuple[float, float] | None = None,
    box: tuple[float, float, float, float] | None = None,
    frame: int = 0,
    picture_size: tuple[int, int] | None = None,
) -> Float[Tensor, "frames h w"]:
    """Cosine similarity of every cell of every frame to one place of one frame, -1..1.

    The place is a point (x, y) or a box (x0, y0, x1, y1), whose features are averaged: in pixels of a picture of
    `picture_size` (width, height), by default in cells of the map. Features are centred first, since attention features
    share a large common part that would make everything look alike.
    """
    if (point is None) == (box is None):
        raise InputError("give either a point or a box to compare with")
    check_maps(features)
    frames, _, h, w = features.shape
    frame = whole_number(frame, "frame", 0, frames - 1)
    width, height = numbers(picture_size, 2, "the picture's size") if picture_size else (w, h)
    scale_x, scale_y = w / width, h / height
    x0, y0, x1, y1 = numbers(box, 4, "the box") if point is None else numbers(point, 2, "the point") * 2
    left, top = math.floor(x0 * scale_x), math.floor(y0 * scale_y)
    right, bottom = max(left + 1, math.floor(x1 * scale_x)), max(top + 1, math.floor(y1 * scale_y))
    if right <= 0 or bottom <= 0 or left >= w or top >= h:
        raise InputError(f"{point or box} lies outside the picture")
    maps = features.detach().float()
    maps = F.normalize(maps - maps.mean(dim=(0, 2, 3), keepdim=True), dim=1)
    query = maps[frame, :, max(0, top) : bottom, max(0, left) : right].mean(dim=(1, 2))
    return torch.einsum("fchw,c->fhw", maps, F.normalize(query, dim=0)).cpu()
