"""Features: what the UNet's attention layers see while it denoises.

SG-I2V's observation (section 3): in ordinary self-attention every frame mixes its own value tokens, so features of the
same object differ from frame to frame. Let the queries of every frame attend to the keys and values *of the first
frame* instead, and every frame's feature becomes a weighted sum of the same tokens: the maps align.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
import torch.nn.functional as F
from diffusers import UNetSpatioTemporalConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.models import Conditioning, Model
from sgi2v_lab.settings import FEATURE_KINDS
from sgi2v_lab.shapes import Features, Latents

__all__ = ["Layer", "assemble", "extract_features", "features_for_gradient", "layers_of", "record_features"]

Layer = tuple[int, int]  # (up block, transformer in it), 0-indexed, as in the paper
LayerMaps = dict[Layer, Float[Tensor, "frames _channels _h _w"]]  # each level has channels and a size of its own


def layers_of(unet: UNetSpatioTemporalConditionModel) -> tuple[Layer, ...]:
    """Every spatial self-attention layer of the decoding half, in the order in which they are computed."""
    return tuple((b, t) for b, block in enumerate(unet.up_blocks) for t in range(len(getattr(block, "attentions", ()))))


class _Stop(Exception):
    """Everything wanted is recorded; raised in the last layer and caught in `_run`, nowhere else."""


@contextmanager
def record_features(
    unet: UNetSpatioTemporalConditionModel,
    layers: tuple[Layer, ...],
    kind: str = "aligned",
    *,
    num_frames: int,
    size: tuple[int, int],
    stop: bool = False,
) -> Iterator[LayerMaps]:
    """While open, every forward of the UNet puts its features into the dictionary that this yields.

    Args:
        unet: the denoiser; it computes exactly what it would without a recorder.
        layers: (up block, transformer) pairs, such as (2, 1).
        kind: "aligned" (queries of each frame on keys and values of the first, which carry no gradient), "ordinary"
            (the self-attention's own output), both before the output projection; "query", "key", "value" (its
            projections); "temporal" (the temporal self-attention's output); "block" (the whole transformer's output).
        num_frames: frames per video. Of a batch of several videos the last one is recorded, which under classifier-free
            guidance is the conditional one.
        size: (h, w) of the latents; a layer's map has them halved as often as its level demands.
        stop: raise a private exception after the last layer, for `extract_features`.

    Yields:
        {layer: (frames, heads * head_dim, h', w')}; the graph is kept where gradients are on. Close the recorder only
        after `backward()` where the UNet uses gradient checkpointing, since that runs the layers again.
    """
    if kind not in FEATURE_KINDS:
        raise InputError(f"unknown feature kind {kind!r}; expected one of {', '.join(FEATURE_KINDS)}")
    missing = [layer for layer in layers if tuple(layer) not in layers_of(unet)]
    if missing or not layers:
        have = ", ".join(map(str, layers_of(unet)))
        raise InputError(f"layer {missing[0] if missing else '()'} does not exist; this UNet has {have}")
    recorded: LayerMaps = {}
    order = sorted(tuple(layer) for layer in layers)

    def keep(layer: Layer, feature: Tensor) -> None:
        # a checkpointed block runs again in the backward pass; what it then computes is recorded already
        if layer not in recorded:
            recorded[layer] = feature
        if stop and layer == order[-1]:
            raise _Stop

    undo = []
    try:
        for layer in order:
            block = unet.up_blocks[layer[0]].attentions[layer[1]]
            if kind == "block":
                hook = block.register_forward_hook(
                    lambda _module, _args, output, layer=layer: keep(layer, output[0][-num_frames:])
                )
                undo.append(hook.remove)
                continue
            transformer = block.temporal_transformer_blocks if kind == "temporal" else block.transformer_blocks
            attention = transformer[0].attn1
            tap = _Tap(attention.processor, kind, num_frames, size, lambda x, layer=layer: keep(layer, x))
            undo.append(lambda attention=attention, before=attention.processor: setattr(attention, "processor", before))
            attention.processor = tap
        yield recorded
    finally:
        for restore in undo:
            restore()


class _Tap:
    """An attention processor that looks at one layer's queries, keys and values, then lets it go on as before."""

    def __init__(self, processor, kind: str, num_frames: int, size: tuple[int, int], keep):
        self.processor, self.kind, self.num_frames, self.size, self.keep = processor, kind, num_frames, size, keep

    def __call__(self, attention: nn.Module, hidden_states: Tensor, *args, **kwargs) -> Tensor:
        self.keep(self.feature(attention, hidden_states))
        return self.processor(attention, hidden_states, *args, **kwargs)

    def feature(self, attention: nn.Module, hidden: Tensor) -> Features:
        """(frames, channels, h, w) from (videos * frames, h * w, c), or, temporal, (videos * h * w, frames, c)."""
        if self.kind == "temporal":
            cells = _cells(self.size, len(hidden))
            mine = hidden[-cells[0] * cells[1] :]
            q, k, v = (_heads(attention, project(mine)) for project in (attention.to_q, attention.to_k, attention.to_v))
            tokens = _merge(F.scaled_dot_product_attention(q, k, v))  # (h * w, frames, c)
            return tokens.permute(1, 2, 0).unflatten(2, cells)
        mine = hidden[-self.num_frames :]
        cells = _cells(self.size, mine.shape[1])
        match self.kind:
            case "query":
                tokens = attention.to_q(mine)
            case "key":
                tokens = attention.to_k(mine)
            case "value":
                tokens = attention.to_v(mine)
            case _:
                source = mine[:1].detach() if self.kind == "aligned" else mine
                q = _heads(attention, attention.to_q(mine))
                k, v = _heads(attention, attention.to_k(source)), _heads(attention, attention.to_v(source))
                k, v = k.expand(len(q), -1, -1, -1), v.expand(len(q), -1, -1, -1)
                tokens = _merge(F.scaled_dot_product_attention(q, k, v))
        return tokens.transpose(1, 2).unflatten(2, cells)


def _heads(attention: nn.Module, tokens: Tensor) -> Tensor:
    return tokens.unflatten(-1, (attention.heads, -1)).transpose(1, 2)


def _merge(tokens: Tensor) -> Tensor:
    return tokens.transpose(1, 2).flatten(2)


def _cells(size: tuple[int, int], tokens: int) -> tuple[int, int]:
    """The level's (h, w): the latents' size, halved (rounding up, as strided convolutions do) until it fits the count.

    The count is that of one video's cells, or of a few videos' together; as each level has about a quarter of the cells
    of the one before, the largest that divides it is meant.
    """
    h, w = size
    while tokens % (h * w) and h * w > 1:
        h, w = (h + 1) // 2, (w + 1) // 2
    return h, w


def _run(model: Model, latents: Latents, sigma: float | Tensor, conditioning: Conditioning) -> None:
    sigma = torch.as_tensor(sigma, dtype=torch.float32, device=latents.device)
    scaled = (latents / (sigma**2 + 1).sqrt()).to(model.dtype)
    with suppress(_Stop):
        model.unet(
            torch.cat([scaled, conditioning.image_latents], dim=1)[None],
            0.25 * sigma.log(),
            encoder_hidden_states=conditioning.embedding,
            added_time_ids=conditioning.time_ids,
            return_dict=False,
        )


@contextmanager
def features_for_gradient(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    layers: tuple[Layer, ...],
    kind: str = "aligned",
    checkpointing: bool = False,
) -> Iterator[LayerMaps]:
    """Features that can be differentiated with respect to `latents`, inside the `with` block.

    With `checkpointing` the UNet's blocks are run again in the backward pass instead of keeping their activations, and
    the recorder has to be in place when that happens: so call `backward()` inside the block.
    """
    unet = model.unet
    before = unet.is_gradient_checkpointing
    frames, size = len(latents), tuple(latents.shape[-2:])
    try:
        (unet.enable_gradient_checkpointing if checkpointing else unet.disable_gradient_checkpointing)()
        with record_features(unet, layers, kind, num_frames=frames, size=size, stop=True) as recorded:
            _run(model, latents, sigma, conditioning)
            yield recorded
    finally:
        (unet.enable_gradient_checkpointing if before else unet.disable_gradient_checkpointing)()


@torch.no_grad()
def extract_features(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    layers: tuple[Layer, ...],
    kind: str = "aligned",
) -> LayerMaps:
    """The features of noisy latents (frames, channels, h, w) at noise level sigma, to look at (no gradients).

    Only the conditional branch is run, and only up to the last layer wanted. See `record_features` for the kinds.
    Returns {layer: (frames, channels, h', w')} in the model's precision.
    """
    with features_for_gradient(model, latents, sigma, conditioning, layers, kind) as recorded:
        return recorded


def assemble(features: LayerMaps, size: tuple[int, int]) -> Features:
    """Bring maps of several layers to one size (h, w), bilinearly, and stack their channels, in fp32 (section 4.1)."""
    maps = [F.interpolate(f.float(), size=size, mode="bilinear", align_corners=False) for f in features.values()]
    return torch.cat(maps, dim=1)
