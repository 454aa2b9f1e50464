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

from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Features, Video

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
        if features.shape[1] != self.pca.n_features_in_:
            raise InputError(
                f"the features have {features.shape[1]} channels, but this basis was fitted to "
                f"{self.pca.n_features_in_}; fit one to these"
            )
        parts = torch.from_numpy(self.pca.transform(_tokens(features).numpy())).float()
        colours = ((parts - self.low) / (self.high - self.low)).clamp(0, 1)
        frames, _, h, w = features.shape
        return colours.view(frames, h, w, 3).permute(0, 3, 1, 2).contiguous()


def _tokens(features: Tensor) -> Tensor:
    return features.detach().float().cpu().permute(0, 2, 3, 1).flatten(0, 2)


def fit_pca(*features: Float[Tensor, "_frames _channels _h _w"]) -> Basis:
    """Fit one basis of three components to maps of any frames, steps or layers with the same number of channels.

    Colours are stretched so that the middle 96% of the values span each channel. Only maps drawn with the same basis
    can be compared. InputError without maps, or for fewer than 3 channels.
    """
    if not features or any(f.shape[1] != features[0].shape[1] for f in features):
        raise InputError(f"the maps have {[f.shape[1] for f in features]} channels, but one basis needs equal numbers")
    tokens = torch.cat([_tokens(f) for f in features])
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
    frames, _, h, w = features.shape
    if not 0 <= frame < frames:
        raise InputError(f"frame is {frame}, but there are frames 0..{frames - 1}")
    scale_x, scale_y = (w / picture_size[0], h / picture_size[1]) if picture_size else (1.0, 1.0)
    x0, y0, x1, y1 = (*point, *point) if point is not None else box
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise InputError(f"{point or box} is not a place in the picture: its coordinates must be finite numbers")
    left, top = math.floor(x0 * scale_x), math.floor(y0 * scale_y)
    right, bottom = max(left + 1, math.floor(x1 * scale_x)), max(top + 1, math.floor(y1 * scale_y))
    if right <= 0 or bottom <= 0 or left >= w or top >= h:
        raise InputError(f"{point or box} lies outside the picture")
    maps = features.detach().float()
    maps = F.normalize(maps - maps.mean(dim=(0, 2, 3), keepdim=True), dim=1)
    query = maps[frame, :, max(0, top) : bottom, max(0, left) : right].mean(dim=(1, 2))
    return torch.einsum("fchw,c->fhw", maps, F.normalize(query, dim=0)).cpu()
