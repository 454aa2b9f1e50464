"""A teacher for attention: training tells the toy where in the first frame everything came from.

SG-I2V builds on attention that finds a thing of the first frame again in every other frame. Stable Video Diffusion
learns that by itself, from hundreds of millions of clips; a toy that sees two hundred thousand needs a start. As in
representation alignment (REPA: Yu et al. 2025, arXiv 2410.06940), a second loss acts on layers inside the denoiser:
the cross-entropy between their attention to the first frame and the true origin of every cell. It fades to zero during
training, and nothing of it remains in the network.

The finest level is taught the same with its attention within a frame. The first frame's latents are an input of *every*
frame, so a place that finds its origin there can copy the object's look. An origin rarely lies at the middle of a cell,
and a mixture of the four codes around it is a blur: four heads of a layer learn one of the four cells each, so that
the codes arrive separately, and a later layer that knows the fraction can compute the code in between.
"""

import torch
import torch.nn.functional as F
from diffusers import UNetSpatioTemporalConditionModel
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sgi2v_lab.toy.training.attention import MatchingAttention

__all__ = ["CELLS", "MATCHED", "Correspondence", "correspondence_loss", "displacement_loss", "moved_cells"]

CELLS = 16  # along each side of the picture, for which the true origins are worked out
# (up block, transformer): which attention is taught. "aligned" is that to the first frame, "corners" that to the own
# frame, with one of the four cells around the origin for each of the first four heads. The first two are the paper's
# own layers.
MATCHED = {(2, 1): "aligned", (2, 2): "aligned", (3, 0): "corners", (3, 1): "corners"}
MOVED = 0.5 / CELLS  # a cell that moved less, in sides of the picture, counts as standing still ...
STILL_WEIGHT = 0.1  # ... and weighs little, since its origin is easy to find
DISPLACEMENT = 0.5  # weight of the displacement loss beside the cross-entropy


def moved_cells(origins: Float[Tensor, "clips frames cells cells 2"]) -> Bool[Tensor, "clips frames cells cells"]:
    """Which cells show something that is seen in the first frame at another place (`origins` from `true_origins`)."""
    return (origins - _middles(origins)).norm(dim=-1) > MOVED  # false where NaN


def _middles(origins: Tensor) -> Tensor:
    """The middles (x, y) of the cells, in sides of the picture."""
    middles = (torch.arange(origins.shape[-2], device=origins.device) + 0.5) / origins.shape[-2]
    return torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1)


def correspondence_loss(
    attention: Float[Tensor, "clips frames heads n n"],
    origins: Float[Tensor, "clips frames cells cells 2"],
    corners: bool = False,
) -> Float[Tensor, ""]:
    """Cross-entropy, in nats, between attention and the true place of each cell in the first frame.

    Args:
        attention: from each place (last axis but one) to each place (last axis), row by row of a square grid that may
            be coarser than the cells; the loss takes its mean over heads.
        origins: from `true_origins`; NaN for what the first frame does not show, which does not count.
        corners: give each of the first four heads one of the four places around the origin (smaller y first, then
            smaller x), weighed by its bilinear share; the mean of any other heads is judged as usual. With fewer than
            four heads this changes nothing.

    An origin between the middles of places belongs to the four around it, in bilinear shares. Cells that moved weigh
    ten times as much as those that stand still.
    """
    side, cells = round(attention.shape[-1] ** 0.5), origins.shape[-2]
    seen = ~origins.isnan().any(dim=-1)
    weight = torch.where(moved_cells(origins), 1.0, STILL_WEIGHT) * seen
    origins = torch.where(seen[..., None], origins, _middles(origins))

    position = (origins * side - 0.5).clamp(0, side - 1)
    low = position.long().clamp(max=side - 2)
    share = position - low
    places, parts = [], []  # the four places around each origin, and their shares
    for down in (0, 1):
        for right in (0, 1):
            places.append((low[..., 1] + down) * side + low[..., 0] + right)
            parts.append(
                (share[..., 0] if right else 1 - share[..., 0]) * (share[..., 1] if down else 1 - share[..., 1])
            )
    source, part = (torch.stack(x, dim=-1).flatten(2, 3) for x in (places, parts))  # (clips, frames, cells^2, 4)
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


def displacement_loss(
    predicted: Float[Tensor, "clips frames n n 2"], origins: Float[Tensor, "clips frames cells cells 2"]
) -> Float[Tensor, ""]:
    """Smooth L1 error, in cells, of a predicted displacement from each place to its origin; weights as above."""
    cells = origins.shape[-2]
    way = (origins - _middles(origins)) * cells
    seen = ~way.isnan().any(dim=-1)
    weight = torch.where(way.norm(dim=-1) > MOVED * cells, 1.0, STILL_WEIGHT) * seen
    side = predicted.shape[-2]
    if side != cells:
        coarse = torch.arange(cells, device=origins.device) * side // cells
        predicted = predicted[..., coarse[:, None], coarse, :]
    error = F.smooth_l1_loss(predicted.float(), way.nan_to_num(0.0), beta=0.25, reduction="none").sum(dim=-1)
    return (weight * error).sum() / weight.sum().clamp(min=1)


class Correspondence:
    """Records attention of a denoiser in training and computes how well it finds things again.

    `displacement`, a linear layer, predicts the displacement to the origin, in cells, from the output of `up_blocks[2]`
    at each place; the loss of that is added. It teaches the coarse levels motion to a fraction of a cell, which the
    cross-entropy alone does not.
    """

    def __init__(self, unet: UNetSpatioTemporalConditionModel, num_frames: int, displacement: nn.Linear | None = None):
        self.num_frames, self.displacement, self.hidden = num_frames, displacement, None
        self.hook = unet.up_blocks[2].register_forward_hook(self._listen) if displacement else None
        self.corners = [kind == "corners" for kind in MATCHED.values()]
        self.processors = [MatchingAttention(num_frames, kind == "aligned") for kind in MATCHED.values()]
        for (block, transformer), processor in zip(MATCHED, self.processors, strict=True):
            unet.up_blocks[block].attentions[transformer].transformer_blocks[0].attn1.set_processor(processor)

    def loss(self, origins: Float[Tensor, "clips frames cells cells 2"]) -> Float[Tensor, ""]:
        """The loss of the last forward pass, averaged over the layers; arguments as in `correspondence_loss`."""
        losses = [
            correspondence_loss(p.attention, origins, c) for p, c in zip(self.processors, self.corners, strict=True)
        ]
        loss = torch.stack(losses).mean()
        if self.displacement is not None:
            predicted = self.displacement(self.hidden.permute(0, 2, 3, 1).float()).unflatten(0, (-1, self.num_frames))
            loss = loss + DISPLACEMENT * displacement_loss(predicted, origins)
        return loss

    def _listen(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.hidden = output

    def stop(self) -> None:
        """End recording: the layers keep no attention, and `loss` may not be called again."""
        for processor in self.processors:
            processor.looking, processor.attention = False, None
        if self.hook is not None:
            self.hook.remove()
        self.hidden = None
