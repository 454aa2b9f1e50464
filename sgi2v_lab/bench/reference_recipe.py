"""The reference recipe: SG-I2V's control step as in its authors' code, rewritten as a baseline for measurements.

The same features and the same loss, with everything that `optimize` leaves out: the UNet's weights become fp32 before
every control step and go back after it, gradient checkpointing is always on (diffusers' own switch, which computes
residual blocks and spatial transformers again), the forward goes on to the end of the last recorded layer's block, keys
and values of the first frame are copied for every frame, and the loss goes from box to box and frame to frame.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.features import assemble
from sgi2v_lab.loss import gaussian_weight
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import CellBoxes, Features, Latents

__all__ = ["Workload", "has_reference", "reference_gradient", "reference_loss", "reference_precision", "reference_step"]


@dataclass(frozen=True)
class Workload:
    """A model, and all that a control step needs; the latents are noise at the level of the first control step."""

    model: Model
    conditioning: Conditioning
    latents: Latents
    sigma: float
    cells: CellBoxes
    settings: Settings

    def given(self, settings: Settings | None = None) -> tuple:
        """The arguments of `control_step`, with other settings if given."""
        return self.model, self.latents, self.sigma, self.conditioning, self.cells, settings or self.settings


def has_reference(model: Model) -> bool:
    """Whether the authors' code knows such a model."""
    return isinstance(model, StableVideoDiffusion)


def reference_step(work: Workload) -> Latents:
    """The latents (frames, channels, h, w) after all iterations of one control step."""
    settings = work.settings
    x = work.latents.detach().float().clone().requires_grad_(True)
    rate = settings.learning_rate * (work.sigma if settings.scale_lr_by_sigma else 1.0)
    optimizer = torch.optim.AdamW([x], lr=rate, weight_decay=settings.weight_decay)
    with reference_precision(work.model):
        for _ in range(settings.iterations):
            x.grad = reference_gradient(replace(work, latents=x))
            optimizer.step()
    return x.detach()


@contextmanager
def reference_precision(model: StableVideoDiffusion) -> Iterator[None]:
    """While open, the UNet is in fp32 and checkpointed."""
    precision, checkpointed = model.unet.dtype, model.unet.is_gradient_checkpointing
    try:
        nn.Module.to(model.unet, dtype=torch.float32)
        model.unet.enable_gradient_checkpointing()
        yield
    finally:
        (model.unet.enable_gradient_checkpointing if checkpointed else model.unet.disable_gradient_checkpointing)()
        nn.Module.to(model.unet, dtype=precision)


def reference_gradient(work: Workload) -> Latents:
    """The loss's gradient with respect to the latents; the UNet has to be in fp32."""
    x, told, settings = work.latents.detach().float().requires_grad_(True), work.conditioning, work.settings
    sigma = torch.as_tensor(work.sigma, dtype=torch.float32, device=x.device)
    with torch.enable_grad(), _recorded(work.model.unet, settings.layers, x.shape[-2:]) as features:
        with suppress(_EndOfBlock):
            work.model.unet(
                torch.cat([(x / (sigma**2 + 1).sqrt())[None], told.image_latents.float()], dim=2),
                0.25 * sigma.log(),
                encoder_hidden_states=told.embedding.float(),
                added_time_ids=told.time_ids.float(),
                return_dict=False,
            )
        loss = reference_loss(assemble(features, tuple(x.shape[-2:])), work.cells, settings.gaussian_sigma)
        return torch.autograd.grad(loss, x)[0]


def reference_loss(features: Features, cells: CellBoxes, sigma: float | None) -> Float[Tensor, ""]:
    """The value of `trajectory_loss`, box by box and frame by frame; boxes must be inside in the first frame."""
    _, _, h, w = features.shape
    total, weights = features.new_zeros(()), features.new_zeros(())
    for box in cells.tolist():
        x0, y0, x1, y1 = box[0]
        target = features[0, :, max(y0, 0) : y1, max(x0, 0) : x1].detach()
        # cells of the first box beyond the picture repeat its edge, and what stems from them does not count
        beyond = (max(-x0, 0), max(x1 - w, 0), max(-y0, 0), max(y1 - h, 0))
        target = F.pad(target[None], beyond, mode="replicate")[0]
        seen = F.pad(torch.ones(1, 1, y1 - y0 - sum(beyond[2:]), x1 - x0 - sum(beyond[:2])), beyond)
        for f in range(1, len(features)):
            left, top, right, bottom = box[f]
            size = (bottom - top, right - left)
            wanted = F.interpolate(target[None], size=size, mode="bilinear", align_corners=False)[0]
            weight = gaussian_weight(*size, sigma) * F.interpolate(seen, size=size, mode="nearest")[0, 0]
            rows = slice(max(-top, 0), max(min(bottom, h) - top, 0))
            columns = slice(max(-left, 0), max(min(right, w) - left, 0))
            weight = weight.to(features.device)[rows, columns]
            found = features[f, :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            error = (found - wanted[:, rows, columns]).square().mean(dim=0)
            total = total + (weight * error).sum()
            weights = weights + weight.sum()
    return total / weights


class _EndOfBlock(Exception):
    """The block of the last recorded layer is done."""


@contextmanager
def _recorded(unet: nn.Module, layers: tuple[tuple[int, int], ...], size: torch.Size) -> Iterator[dict]:
    """Aligned features of the layers during a forward, which ends with the last one's block."""
    features: dict[tuple[int, int], Tensor] = {}
    before = {}

    def end(*_: object) -> None:
        raise _EndOfBlock

    for layer in sorted(layers):
        attention = unet.up_blocks[layer[0]].attentions[layer[1]].transformer_blocks[0].attn1
        before[attention] = attention.processor
        attention.processor = _Recorder(features, layer, size)
    handle = unet.up_blocks[max(layers)[0]].register_forward_hook(end)
    try:
        yield features
    finally:
        handle.remove()
        for attention, processor in before.items():
            attention.processor = processor


class _Recorder:
    """Self-attention twice: the layer's own, which is returned, and the aligned one, which is recorded."""

    def __init__(self, features: dict, layer: tuple[int, int], size: torch.Size):
        self.features, self.layer, self.size = features, layer, size

    def __call__(self, attention: nn.Module, hidden_states: Tensor, **_: object) -> Tensor:
        q, k, v = (
            project(hidden_states).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for project in (attention.to_q, attention.to_k, attention.to_v)
        )
        first = [x[:1].detach().repeat(len(q), 1, 1, 1) for x in (k, v)]
        aligned = F.scaled_dot_product_attention(q, *first).transpose(1, 2).flatten(2)
        h, w = self.size
        while h * w > aligned.shape[1]:
            h, w = (h + 1) // 2, (w + 1) // 2
        if self.layer not in self.features:  # the backward pass comes here again
            self.features[self.layer] = aligned.transpose(1, 2).unflatten(2, (h, w))
        own = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return attention.to_out[1](attention.to_out[0](own))
