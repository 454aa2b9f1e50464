"""A teacher for attention: while the toy trains, it is told where in the first frame everything came from.

That attention of every frame to the first one finds the same thing again is what SG-I2V builds on. Stable Video
Diffusion learns it by itself, from hundreds of millions of clips; a toy that sees a hundred thousand must be shown. As
in representation alignment (REPA: Yu et al. 2025, arXiv 2410.06940), a second loss speaks to layers in the middle of
the denoiser; here it is the cross-entropy of their attention to the first frame, and of the true origins of every cell.
It is a term of training only: nothing of it is left in the network.

In the finest level, attention within a frame is told the same. The picture of the first frame is among the inputs of
*every* frame, so that a place that finds its origin there can copy what it looks like.
"""

import torch
from diffusers import UNetSpatioTemporalConditionModel
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.toy.training.attention import MatchingAttention

__all__ = ["CELLS", "MATCHED", "Correspondence", "correspondence_loss", "moved_cells"]

CELLS = 16  # along each side of the picture, for which the true origins are worked out
# (up block, transformer): whether its attention to the first frame is told, or that to its own frame. The paper's own
# layers, from which it takes features, and the one that comes after them.
MATCHED = {(2, 1): "aligned", (2, 2): "aligned", (3, 0): "self-attention"}
MOVED = 0.5 / CELLS  # what has gone less far, in sides of the picture, is taken as standing still ...
STILL_WEIGHT = 0.1  # ... and counts for little, since it is found where it is looked for


def moved_cells(origins: Float[Tensor, "clips frames cells cells 2"]) -> Bool[Tensor, "clips frames cells cells"]:
    """Which cells show something that is seen in the first frame at another place (`origins` from `true_origins`)."""
    return (origins - _middles(origins)).norm(dim=-1) > MOVED  # false where NaN


def _middles(origins: Tensor) -> Tensor:
    """The middles (x, y) of the cells, in sides of the picture."""
    middles = (torch.arange(origins.shape[-2], device=origins.device) + 0.5) / origins.shape[-2]
    return torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1)


def correspondence_loss(
    attention: Float[Tensor, "clips frames heads n n"], origins: Float[Tensor, "clips frames cells cells 2"]
) -> Float[Tensor, ""]:
    """Cross-entropy, in nats, of attention and of where in the first frame each cell truly was.

    Args:
        attention: from each place (last axis but one) to each place (last axis), row by row of a square grid that may
            be coarser than the cells; its mean over heads is judged.
        origins: from `true_origins`; NaN for what cannot be seen in the first frame, which does not count.

    An origin between the middles of places belongs to the four around it, in bilinear shares. Cells that moved count
    ten times as much as those that stand still.
    """
    side, cells = round(attention.shape[-1] ** 0.5), origins.shape[-2]
    seen = ~origins.isnan().any(dim=-1)
    weight = torch.where(moved_cells(origins), 1.0, STILL_WEIGHT) * seen
    origins = torch.where(seen[..., None], origins, _middles(origins))

    position = (origins * side - 0.5).clamp(0, side - 1)
    low = position.long().clamp(max=side - 2)
    share = position - low
    corners, parts = [], []  # the four places around each origin, and their shares
    for right in (0, 1):
        for down in (0, 1):
            corners.append((low[..., 1] + down) * side + low[..., 0] + right)
            parts.append(
                (share[..., 0] if right else 1 - share[..., 0]) * (share[..., 1] if down else 1 - share[..., 1])
            )
    source, part = (torch.stack(x, dim=-1).flatten(2, 3) for x in (corners, parts))  # (clips, frames, cells^2, 4)
    if side != cells:
        coarse = torch.arange(cells, device=origins.device) * side // cells
        attention = attention[..., (coarse[:, None] * side + coarse).flatten(), :]
    found = attention.gather(-1, source[:, :, None].expand(-1, -1, attention.shape[2], -1, -1)).float().mean(dim=2)
    likelihood = (part * found.clamp(min=1e-12).log()).sum(dim=-1)
    return -(weight.flatten(2) * likelihood).sum() / weight.sum().clamp(min=1)


class Correspondence:
    """Looks into layers of a denoiser while it is trained, and says how well their attention finds things again."""

    def __init__(self, unet: UNetSpatioTemporalConditionModel, num_frames: int):
        self.processors = [MatchingAttention(num_frames, kind == "aligned") for kind in MATCHED.values()]
        for (block, transformer), processor in zip(MATCHED, self.processors, strict=True):
            unet.up_blocks[block].attentions[transformer].transformer_blocks[0].attn1.set_processor(processor)

    def loss(self, origins: Float[Tensor, "clips frames cells cells 2"]) -> Float[Tensor, ""]:
        """Of the last forward, averaged over the layers; arguments as in `correspondence_loss`."""
        return torch.stack([correspondence_loss(p.attention, origins) for p in self.processors]).mean()
