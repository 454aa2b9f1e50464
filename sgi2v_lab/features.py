"""Features: what the attention layers of the denoiser compute while it denoises (section 3.2).

In self-attention every frame mixes its own value tokens, so features of the same object differ from frame to frame.
SG-I2V lets the queries of every frame attend to the keys and values *of the first frame*. Every frame's feature is then
a weighted sum of the same tokens, and the maps align.

The denoiser itself is not changed: when a layer runs, its aligned attention is computed beside its own.
The network goes on with its own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.model import Conditioning, Layer, Model, Tokens, as_layer
from sgi2v_lab.shapes import Features, Latents

__all__ = ["aligned_attention", "assemble", "check_maps", "extract_features", "features_with_graph", "record_features"]

LayerMaps = dict[Layer, Float[Tensor, "frames _channels _h _w"]]  # each level has channels and a size of its own


def aligned_attention(attention: nn.Module, hidden: Float[Tensor, "frames places channels"]) -> Tokens:
    """Attention of every frame f to the first one: softmax(Q_f K_1^T / sqrt(d)) V_1, head by head (section 3.2).

    Keys and values carry no gradient. Returns (frames, places, heads * d), before the output projection.
    """
    query = attention.to_q(hidden).flatten(0, 1)[None]  # all frames' queries as those of one long frame
    with torch.no_grad():
        first = hidden[:1].detach()
        key, value = attention.to_k(first), attention.to_v(first)
    return attend(attention.heads, query, key, value).view(*hidden.shape[:2], -1)


def self_attention(attention: nn.Module, hidden: Tokens) -> Tokens:
    """The layer's own attention, softmax(Q_f K_f^T / sqrt(d)) V_f, before the output projection."""
    return attend(attention.heads, attention.to_q(hidden), attention.to_k(hidden), attention.to_v(hidden))


def attend(
    heads: int, *projected: Float[Tensor, "batch _length channels"], bias: Float[Tensor, "_queries keys"] | None = None
) -> Tokens:
    """Attention of queries (n, length, heads * d) to keys and values, head by head; `bias` adds to keys' logits."""
    q, k, v = (tokens.unflatten(-1, (heads, -1)).transpose(1, 2) for tokens in projected)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)


# kind of feature -> where it is found (see `Model.watch`), and how it is computed from the layer and its tokens
KINDS: dict[str, tuple[str, Callable[[nn.Module, Tokens], Tokens]]] = {
    "aligned": ("spatial", aligned_attention),
    # where tokens have rotary positions: queries take the time of the first frame's, or nothing has a position
    "aligned-same-time": ("spatial", lambda layer, hidden: aligned_attention(layer.placed("same time"), hidden)),
    "aligned-unplaced": ("spatial", lambda layer, hidden: aligned_attention(layer.placed("none"), hidden)),
    "self-attention": ("own", self_attention),
    "query": ("spatial", lambda attention, hidden: attention.to_q(hidden)),
    "key": ("spatial", lambda attention, hidden: attention.to_k(hidden)),
    "value": ("spatial", lambda attention, hidden: attention.to_v(hidden)),
    "temporal": ("temporal", self_attention),
    "block": ("block", lambda _, output: output),
}


class _Stop(Exception):
    """Everything wanted is recorded; raised in the last layer and caught in `features_with_graph`, nowhere else."""


@contextmanager
def record_features(
    model: Model, layers: tuple[Layer, ...], kind: str = "aligned", *, stop: bool = False
) -> Iterator[LayerMaps]:
    """While open, every pass of the denoiser puts its features into the dictionary that this yields.

    Args:
        model: its denoiser computes exactly what it would without a recorder.
        layers: some of `model.all_layers`, such as (2, 1): the second transformer of the third up block.
        kind: "aligned"; "self-attention" (the layer's own); "query", "key", "value" (its projections); "temporal" (the
            temporal self-attention's output); "block" (the whole transformer's output). Where tokens have rotary
            positions, also "aligned-same-time" and "aligned-unplaced" (see `KINDS`).
        stop: end the pass at the last layer, for `features_with_graph`.

    Yields:
        {layer: (frames, channels, h', w')}, empty before the pass, with the graph where gradients are on. Of a batch it
        is the last video, which under classifier-free guidance is the conditional one. Where a backward pass computes
        activations again, close the recorder only after `backward()`.

    Raises:
        InputError: an unknown kind or layer.
    """
    if kind not in model.feature_kinds:
        raise InputError(f"unknown feature kind {kind!r}: expected one of {', '.join(model.feature_kinds)}")
    model.check_layers(layers, model.all_layers)
    where, compute = KINDS[kind]
    wanted = {as_layer(layer) for layer in layers}
    ordered = [layer for layer in model.all_layers if layer in wanted]
    recorded: LayerMaps = {}

    def record(layer: Layer, attention: nn.Module | None, hidden: Tokens, size: tuple[int, int]) -> None:
        tokens = compute(attention, hidden)
        tokens = tokens.transpose(0, 1) if where == "temporal" else tokens
        # checkpointing runs this again in the backward pass: compute the same, keep the first result
        recorded.setdefault(layer, tokens.reshape(-1, *size, tokens.shape[-1]).permute(0, 3, 1, 2))
        if stop and layer == ordered[-1]:
            raise _Stop

    with ExitStack() as watching:
        for layer in ordered:
            watching.enter_context(model.watch(layer, lambda *seen, layer=layer: record(layer, *seen), where))
        yield recorded


@contextmanager
def features_with_graph(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    layers: tuple[Layer, ...],
    kind: str = "aligned",
) -> Iterator[LayerMaps]:
    """Features that can be differentiated with respect to `latents`; call `backward()` inside the block.

    Only the conditional branch is run, and only up to the last layer wanted. Arguments as in `record_features`.
    """
    with model.for_one_video(), record_features(model, layers, kind, stop=True) as recorded:
        with suppress(_Stop):
            model.run_conditional(latents, sigma, conditioning)
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

    Returns {layer: (frames, channels, h', w')} in the model's precision; kinds and errors as in `record_features`.
    """
    with features_with_graph(model, latents, sigma, conditioning, layers, kind) as recorded:
        return recorded


def check_maps(maps: object) -> Tensor:
    """The maps (frames, channels, h, w) themselves; InputError for anything else, such as a dictionary of layers."""
    if getattr(maps, "ndim", 0) != 4 or not isinstance(maps, Tensor):
        raise InputError(f"the features are a {type(maps).__name__}: expected what assemble gives, a tensor of 4 axes")
    return maps


def assemble(features: LayerMaps, size: tuple[int, int]) -> Features:
    """Bring maps of several layers to one size (h, w), bilinearly, and stack their channels, in fp32 (section 4.1)."""
    maps = [F.interpolate(f.float(), size=size, mode="bilinear", align_corners=False) for f in features.values()]
    return torch.cat(maps, dim=1)
