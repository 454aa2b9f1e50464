"""Massive activations: a few channels that are much larger than all others, in every place and for every input.

They dominate cosines and principal components, and carry little meaning (Sun et al. 2024, arXiv 2402.17762; in
diffusion transformers DiTF, Gan et al. 2025, arXiv 2505.18584). Look at features without them as well:
`fit_pca(features[:, ~massive_channels(features)])`.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from sgi2v_lab.shapes import Features

__all__ = ["massive_channels"]


def massive_channels(features: Features, times: float = 5.0) -> Bool[Tensor, " channels"]:
    """Which channels have a mean magnitude of more than `times` the median channel's; mostly none."""
    magnitudes = features.detach().float().abs().mean(dim=(0, 2, 3)).cpu()
    return magnitudes > times * torch.median(magnitudes)
