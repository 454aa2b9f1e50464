"""Where attention looks, head by head: maps of a place, entropy, the share of the first frame, attention as flow.

What is kept of a pass are each layer's queries and keys; weights are computed from them when they are asked for, a
frame or a place at a time. Whole attention maps of a real model would not fit into memory.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.analysis.matching import attention_weights
from sgi2v_lab.analysis.pairs import Pairs, cell_middles, sample_at
from sgi2v_lab.analysis.passes import run_pass
from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import Inspection
from sgi2v_lab.models.model import Layer, Model

__all__ = [
    "HeadAttention",
    "attention_at",
    "attention_flow",
    "attention_to",
    "entropy",
    "first_frame_share",
    "flow_correlation",
    "record_attention",
]


@dataclass(frozen=True)
class HeadAttention:
    """Queries and keys of one layer's self-attention in one pass.

    "spatial" attention has a row for each frame, with a token for each place; "temporal" attention has a row for each
    place, with a token for each frame. Places are in rows of a grid of `size` (h, w).
    """

    query: Float[Tensor, "rows heads length d"]
    key: Float[Tensor, "rows heads length d"]
    size: tuple[int, int]
    where: str

    def weights(self, row: int, to: int | None = None) -> Float[Tensor, "heads length length"]:
        """softmax(q k^T / sqrt(d)) of a row's queries (last axis but one), on its own keys or those of row `to`.

        With `to=0`, spatial attention of a frame to the first one is that of the paper's aligned features.
        """
        return attention_weights(self.query[row], self.key[row if to is None else to])


@contextmanager
def record_attention(
    model: Model, layers: tuple[Layer, ...], where: str = "spatial"
) -> Iterator[dict[Layer, HeadAttention]]:
    """While open, every pass of the denoiser puts its queries and keys into the dictionary that this yields.

    Of a batch it is the last video. `where` is "spatial" or "temporal". InputError for another one, or for an unknown
    layer.
    """
    if where not in ("spatial", "temporal"):
        raise InputError(f"where is {where!r}: expected 'spatial' or 'temporal'")
    model.check_layers(layers, model.all_layers)
    recorded: dict[Layer, HeadAttention] = {}

    def record(layer: Layer, attention: nn.Module, hidden: Tensor, size: tuple[int, int]) -> None:
        query, key = (
            project(hidden).unflatten(-1, (attention.heads, -1)).transpose(1, 2).detach()
            for project in (attention.to_q, attention.to_k)
        )
        recorded[layer] = HeadAttention(query, key, size, where)

    with ExitStack() as watching:
        for layer in layers:
            watching.enter_context(model.watch(layer, lambda *seen, layer=layer: record(layer, *seen), where))
        yield recorded


def attention_at(
    inspection: Inspection, step: int, layers: tuple[Layer, ...], where: str = "spatial"
) -> dict[Layer, HeadAttention]:
    """The attention of several layers, from one pass over an inspected video; errors as in `record_attention`."""
    with record_attention(inspection.model, layers, where) as recorded:
        run_pass(inspection, step)
    return recorded


def attention_to(attention: HeadAttention, place: tuple[float, float]) -> Float[Tensor, "heads frames h w"]:
    """How much every place of every frame attends to what is at a `place` (x, y) of frame 0, in sides of the picture.

    Temporal attention stays at its place: there it is how much every place attends to itself in frame 0. InputError for
    a place outside the picture.
    """
    if not all(0 <= side < 1 for side in place):
        raise InputError(f"the place is {place}: expected x and y in 0..1, in sides of the picture")
    h, w = attention.size
    cell = int(place[1] * h) * w + int(place[0] * w)
    if attention.where == "temporal":
        found = torch.stack([attention.weights(row)[..., 0] for row in _rows(attention)], dim=-1)
    else:
        found = torch.stack([attention.weights(frame, 0)[..., cell] for frame in _rows(attention)], dim=1)
    return found.unflatten(-1, attention.size).cpu()


def entropy(attention: HeadAttention, to: int | None = None) -> Float[Tensor, " heads"]:
    """-sum(a ln a) of each head's weights in nats, averaged over all queries: 0 (one token) to ln(tokens) (all alike).

    `to` as in `HeadAttention.weights`.
    """
    rows = (torch.special.entr(attention.weights(row, to)).sum(dim=-1).mean(dim=-1) for row in _rows(attention))
    return torch.stack([*rows]).mean(dim=0).cpu()


def first_frame_share(attention: HeadAttention) -> Float[Tensor, "heads frames"]:
    """The share of temporal attention that each frame pays to frame 0, averaged over places; 1 / frames if all alike.

    InputError for spatial attention, which does not leave its frame.
    """
    if attention.where != "temporal":
        raise InputError("this is spatial attention, which does not leave its frame: give that of where='temporal'")
    return attention_to(attention, (0, 0)).mean(dim=(2, 3))


def attention_flow(attention: HeadAttention) -> Float[Tensor, "heads frames h w 2"]:
    """The motion that attention to frame 0 amounts to, in sides of the picture (DiTFlow, Pondaven 2024, 2412.07776).

    For each place of each frame: sum_j a_j x_j - x, the mean place that it looks at in frame 0 minus its own. Where
    attention finds things again this is origin minus place, the motion backwards. InputError for temporal attention.
    """
    if attention.where != "spatial":
        raise InputError("this is temporal attention, which stays at its place: give that of where='spatial'")
    places = cell_middles(attention.size).to(attention.query.device)
    flow = torch.stack([attention.weights(frame, 0) @ places - places for frame in _rows(attention)], dim=1)
    return flow.unflatten(2, attention.size).cpu()


def flow_correlation(flow: Float[Tensor, "heads frames h w 2"], pairs: Pairs) -> Float[Tensor, " heads"]:
    """Pearson's correlation of each head's flow with the true one, x and y together, over the pairs; -1..1.

    The flow is taken at the pairs' places, bilinearly. NaN where there is no pair, or where a flow is the same
    everywhere.
    """
    found = torch.zeros(len(pairs), flow.shape[0] * 2)
    for frame in pairs.frame.unique().tolist():
        mine = pairs.frame == frame
        found[mine] = sample_at(flow[:, frame].permute(0, 3, 1, 2).flatten(0, 1), pairs.here[mine])
    found = found.unflatten(1, (-1, 2)).transpose(0, 1).flatten(1).double()
    true = (pairs.origin - pairs.here).flatten().double()
    found, true = found - found.mean(dim=1, keepdim=True), true - true.mean()
    return (found @ true / (found.norm(dim=1) * true.norm())).float()


def _rows(attention: HeadAttention) -> range:
    return range(len(attention.query))
