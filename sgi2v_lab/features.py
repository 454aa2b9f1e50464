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

from sgi2v_lab.efficiency.recompute import one_image_token, recomputing
from sgi2v_lab.errors import InputError
from sgi2v_lab.latents import Conditioning
from sgi2v_lab.models.load import Model
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
    videos: int = 1,
) -> Iterator[LayerMaps]:
    """While open, every forward of the UNet puts its features into the dictionary that this yields.

    Args:
        unet: the denoiser; it computes exactly what it would without a recorder.
        layers: (up block, transformer) pairs, such as (2, 1).
        kind: "aligned" (queries of each frame on keys and values of the first, which carry no gradient), "ordinary"
            (the self-attention's own output), both before the output projection; "query", "key", "value" (its
            projections); "temporal" (the temporal self-attention's output); "block" (the whole transformer's output).
        num_frames: frames per video.
        size: (h, w) of the latents; a layer's map has them halved as often as its level demands.
        stop: raise a private exception after the last layer, for `extract_features`.
        videos: how many of a batch are recorded, one after the other: the last ones, which under classifier-free
            guidance are the conditional ones.

    Yields:
        {layer: (videos * frames, heads * head_dim, h', w')}; the graph is kept where gradients are on. Close the
        recorder only after `backward()` where activations are computed again then, since that runs the layers again.
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
                    lambda _module, _args, output, layer=layer: keep(layer, output[0][-videos * num_frames :])
                )
                undo.append(hook.remove)
                continue
            transformer = block.temporal_transformer_blocks if kind == "temporal" else block.transformer_blocks
            attention = transformer[0].attn1
            last = stop and layer == order[-1]
            shape = videos, num_frames, size
            tap = _Tap(attention.processor, kind, shape, lambda x, layer=layer: keep(layer, x), last)
            undo.append(lambda attention=attention, before=attention.processor: setattr(attention, "processor", before))
            attention.processor = tap
        yield recorded
    finally:
        for restore in undo:
            restore()


class _Tap:
    """An attention processor that looks at one layer's queries, keys and values, and lets it do as before.

    The layer at which the forward stops computes no more than its feature needs; elsewhere the feature is made of the
    layer's own projections, which are there anyway.
    """

    def __init__(self, processor, kind: str, shape: tuple[int, int, tuple[int, int]], keep, last: bool):
        self.processor, self.kind, self.keep, self.last = processor, kind, keep, last
        self.videos, self.num_frames, self.size = shape

    def __call__(self, attention: nn.Module, hidden_states: Tensor, *args, **kwargs) -> Tensor:
        if self.last:
            self.keep(self.feature(attention, hidden_states, {}))  # which stops the forward
        with _projections(attention) as projected:
            output = self.processor(attention, hidden_states, *args, **kwargs)
        self.keep(self.feature(attention, hidden_states, projected))
        return output

    def feature(self, attention: nn.Module, hidden: Tensor, projected: dict[str, Tensor]) -> Features:
        """(videos * frames, channels, h, w) from (all * frames, h * w, c), or, temporal, (all * h * w, frames, c)."""
        tokens = len(hidden) if self.kind == "temporal" else hidden.shape[1]
        cells = _cells(self.size, tokens)
        rows = self.videos * (cells[0] * cells[1] if self.kind == "temporal" else self.num_frames)
        mine = slice(len(hidden) - rows, None)  # the last videos'

        def project(name: str, where: slice = mine, source: Tensor = hidden) -> Tensor:
            return projected[name][where] if name in projected else getattr(attention, name)(source[where])

        match self.kind:
            case "query" | "key" | "value":
                tokens = project(f"to_{self.kind[0]}")
            case "aligned":
                first = slice(mine.start, None, self.num_frames)
                k, v = (project(name, first, hidden.detach()).detach() for name in ("to_k", "to_v"))
                # all frames' queries as those of one long frame: keys and values need no copies
                q = project("to_q").unflatten(0, (self.videos, -1)).flatten(1, 2)
                tokens = _attend(attention, q, k, v).unflatten(1, (self.num_frames, -1)).flatten(0, 1)
            case _:
                tokens = _attend(attention, project("to_q"), project("to_k"), project("to_v"))
        if self.kind == "temporal":
            return tokens.unflatten(0, (self.videos, -1)).permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, cells)
        return tokens.transpose(1, 2).unflatten(2, cells)


@contextmanager
def _projections(attention: nn.Module) -> Iterator[dict[str, Tensor]]:
    """What the layer itself makes of its tokens while this is open: to_q, to_k, to_v, where it calls them."""
    seen: dict[str, Tensor] = {}
    handles = [
        getattr(attention, name).register_forward_hook(
            lambda _module, _args, output, name=name: seen.__setitem__(name, output)
        )
        for name in ("to_q", "to_k", "to_v")
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _attend(attention: nn.Module, *projected: Tensor) -> Tensor:
    """Attention of queries (n, cells, c) to keys and values of as many cells or others, head by head."""
    q, k, v = (tokens.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for tokens in projected)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


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
            torch.cat([scaled, conditioning.image_latents], dim=1).unflatten(0, (conditioning.videos, -1)),
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
    keep: str = "fast",
) -> Iterator[LayerMaps]:
    """Features that can be differentiated with respect to `latents`, inside the `with` block.

    `keep` says what the forward pass keeps for the backward pass: all ("fast"), less ("selective") or little ("full"),
    see `shortcuts`. What was not kept is computed again then, with the recorder in place: so call `backward()` inside
    the block.
    """
    unet = model.unet
    videos, size = conditioning.videos, tuple(latents.shape[-2:])
    frames = len(latents) // videos
    with (
        one_image_token(unet),
        record_features(unet, layers, kind, num_frames=frames, size=size, stop=True, videos=videos) as recorded,
        recomputing(unet, keep, max(layers)),
    ):
        _run(model, latents, sigma, conditioning)
        yield recorded


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
