"""A teacher for attention: while the toy trains, it is told where in the first frame everything came from.

That attention of every frame to the first one finds the same thing again is what SG-I2V builds on. Stable Video
Diffusion learns it by itself, from hundreds of millions of clips; a toy that sees a hundred thousand must be shown. As
in representation alignment (REPA: Yu et al. 2025, arXiv 2410.06940), a second loss speaks to layers in the middle of
the denoiser; here it is the cross-entropy of their attention to the first frame, and of the true origins of every cell.
It is a term of training only: nothing of it is left in the network.

In the finest level, attention within a frame is told the same. The picture of the first frame is among the inputs of
*every* frame, so that a place that finds its origin there can copy what it looks like. An origin rarely is the middle
of a cell, and a mixture of the codes of the four cells around it is a blur of them: four heads of one layer are told
one cell each, so that the codes arrive apart, and a layer that knows the fraction can work out the code in between.
"""

import torch
import torch.nn.functional as F
from diffusers import UNetSpatioTemporalConditionModel
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sgi2v_lab.toy.training.attention import MatchingAttention

__all__ = ["CELLS", "MATCHED", "Correspondence", "correspondence_loss", "moved_cells", "whence_loss"]

CELLS = 16  # along each side of the picture, for which the true origins are worked out
# (up block, transformer): whether its attention to the first frame is told, or that to its own frame, and there,
# whether its first four heads are told one cell each. The paper's own layers, which give it features, and those after.
MATCHED = {(2, 1): "aligned", (2, 2): "aligned", (3, 0): "self-attention", (3, 1): "corners"}
MOVED = 0.5 / CELLS  # what has gone less far, in sides of the picture, is taken as standing still ...
STILL_WEIGHT = 0.1  # ... and counts for little, since it is found where it is looked for
WHENCE = 0.5  # weight, beside attention's, of where a layer is read to say that things came from


def moved_cells(origins: Float[Tensor, "clips frames cells cells 2"]) -> Bool[Tensor, "clips frames cells cells"]:
    """Which cells show something that is seen in the first frame at another place (`origins` from `true_origins`)."""
    middles = (torch.arange(origins.shape[-2], device=origins.device) + 0.5) / origins.shape[-2]
    here = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1)
    return (origins - here).norm(dim=-1) > MOVED  # false where NaN


def correspondence_loss(
    attention: Float[Tensor, "clips frames heads n n"],
    origins: Float[Tensor, "clips frames cells cells 2"],
    corners: bool = False,
) -> Float[Tensor, ""]:
    """Cross-entropy, in nats, of attention and of where in the first frame each cell truly was.

    Args:
        attention: from each place (last axis but one) to each place (last axis), row by row of a square grid that may
            be coarser than the cells; its mean over heads is judged.
        origins: from `true_origins`; NaN for what cannot be seen in the first frame, which does not count.
        corners: judge the first four heads on one of the four places around the origin each (those with the smaller y
            first, of these the one with the smaller x), by its share, and the mean of the others as usual. Fewer than
            four heads are judged as usual.

    An origin between the middles of places belongs to the four around it, in bilinear shares. Cells that moved count
    ten times as much as those that stand still.
    """
    side, cells = round(attention.shape[-1] ** 0.5), origins.shape[-2]
    middles = (torch.arange(cells, device=origins.device) + 0.5) / cells
    here = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1)
    seen = ~origins.isnan().any(dim=-1)
    origins = torch.where(seen[..., None], origins, here)
    weight = torch.where((origins - here).norm(dim=-1) > MOVED, 1.0, STILL_WEIGHT) * seen

    position = (origins * side - 0.5).clamp(0, side - 1)
    low = position.long().clamp(max=side - 2)
    share = position - low
    corners, parts = [], []  # the four places around each origin, and their shares
    for down in (0, 1):
        for right in (0, 1):
            corners.append((low[..., 1] + down) * side + low[..., 0] + right)
            parts.append(
                (share[..., 0] if right else 1 - share[..., 0]) * (share[..., 1] if down else 1 - share[..., 1])
            )
    source, part = (torch.stack(x, dim=-1).flatten(2, 3) for x in (corners, parts))  # (clips, frames, cells^2, 4)
    if side != cells:
        coarse = torch.arange(cells, device=origins.device) * side // cells
        attention = attention[..., (coarse[:, None] * side + coarse).flatten(), :]
    found = attention.gather(-1, source[:, :, None].expand(-1, -1, attention.shape[2], -1, -1)).float()
    if corners and found.shape[2] >= 4:
        own = found[:, :, :4].diagonal(dim1=2, dim2=4)
        likelihood = (part * own.clamp(min=1e-12).log()).sum(dim=-1)
        if found.shape[2] > 4:
            likelihood = (likelihood + (part * found[:, :, 4:].mean(dim=2).clamp(min=1e-12).log()).sum(dim=-1)) / 2
    else:
        likelihood = (part * found.mean(dim=2).clamp(min=1e-12).log()).sum(dim=-1)
    return -(weight.flatten(2) * likelihood).sum() / weight.sum().clamp(min=1)


def whence_loss(
    told: Float[Tensor, "clips frames n n 2"], origins: Float[Tensor, "clips frames cells cells 2"]
) -> Float[Tensor, ""]:
    """How far off, in cells, is what a layer says about the way from each place to its origin? Weights as above."""
    cells = origins.shape[-2]
    middles = (torch.arange(cells, device=origins.device) + 0.5) / cells
    way = (origins - torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1)) * cells
    seen = ~way.isnan().any(dim=-1)
    weight = torch.where(way.norm(dim=-1) > MOVED * cells, 1.0, STILL_WEIGHT) * seen
    side = told.shape[-2]
    if side != cells:
        coarse = torch.arange(cells, device=origins.device) * side // cells
        told = told[..., coarse[:, None], coarse, :]
    error = F.smooth_l1_loss(told.float(), way.nan_to_num(0.0), beta=0.25, reduction="none").sum(dim=-1)
    return (weight * error).sum() / weight.sum().clamp(min=1)


class Correspondence:
    """Looks into layers of a denoiser while it is trained, and says how well their attention finds things again.

    `whence` reads, from what comes out of `up_blocks[2]` at each place, the way to its origin in cells; the loss of
    what it reads is added. It teaches the coarse levels motion to a fraction of a cell, which attention, whose shares
    are vague, does not.
    """

    def __init__(self, unet: UNetSpatioTemporalConditionModel, num_frames: int, whence: nn.Linear | None = None):
        self.num_frames, self.whence, self.hidden = num_frames, whence, None
        self.hook = unet.up_blocks[2].register_forward_hook(self._listen) if whence else None
        self.corners = [kind == "corners" for kind in MATCHED.values()]
        self.processors = [MatchingAttention(num_frames, kind == "aligned") for kind in MATCHED.values()]
        for (block, transformer), processor in zip(MATCHED, self.processors, strict=True):
            unet.up_blocks[block].attentions[transformer].transformer_blocks[0].attn1.set_processor(processor)

    def loss(self, origins: Float[Tensor, "clips frames cells cells 2"]) -> Float[Tensor, ""]:
        """Of the last forward, averaged over the layers; arguments as in `correspondence_loss`."""
        losses = [
            correspondence_loss(p.attention, origins, c) for p, c in zip(self.processors, self.corners, strict=True)
        ]
        loss = torch.stack(losses).mean()
        if self.whence is not None:
            told = self.whence(self.hidden.permute(0, 2, 3, 1).float()).unflatten(0, (-1, self.num_frames))
            loss = loss + WHENCE * whence_loss(told, origins)
        return loss

    def _listen(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.hidden = output

    def stop(self) -> None:
        """Look no more: the layers keep nothing of their attention, and `loss` has nothing to say."""
        for processor in self.processors:
            processor.looking, processor.attention = False, None
        if self.hook is not None:
            self.hook.remove()
        self.hidden = None
