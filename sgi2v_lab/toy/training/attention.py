"""Attention for training on a CPU: the same function as diffusers' processors, about half as costly in bfloat16.

PyTorch's fused attention kernel is slow in bfloat16 on CPUs, above all backwards, and the toy's sequences are short:
8 frames or at most 256 places. Plain matrix products win. Cross-attention to a single token needs no query at all: a
softmax over one key is 1.
"""

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor

__all__ = ["MatchingAttention", "ShortAttention"]


def _softmax(scores: Tensor) -> Tensor:
    # autocast would do it in float32, which takes twice the time, most of it to read and write memory
    with torch.autocast(scores.device.type, enabled=False):
        return scores.softmax(-1)


class ShortAttention:
    """An attention processor for `UNetSpatioTemporalConditionModel.set_attn_processor`."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: object
    ) -> Tensor:
        """Hidden states (batch, n, channels), keys and values from `encoder_hidden_states` (batch, m, ...) if given."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        value = attn.to_v(source)
        batch, length, _ = hidden_states.shape
        if source.shape[1] == 1:
            out = value.expand(batch, length, -1)
        else:
            query, key, value = (
                x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
                for x in (attn.to_q(hidden_states), attn.to_k(source), value)
            )
            query = query * attn.scale
            weights = _softmax(query @ key.transpose(-1, -2))
            self.look(query, key, weights)
            out = (weights @ value).transpose(1, 2).flatten(2)
        return attn.to_out[0](out)

    def look(self, query: Tensor, key: Tensor, weights: Tensor) -> None:
        """For those who want to see: scaled queries and keys (batch, heads, n, head_dim), and attention (..., n, n)."""


class MatchingAttention(ShortAttention):
    """The same for spatial self-attention; it keeps how places attend to places.

    With `aligned`, to those of the *first* frame: queries of every frame on the first one's keys, the attention of
    SG-I2V's aligned features. Without, to those of their own frame, as the network does.

    Attributes:
        looking: whether it keeps anything.
        attention: of the last forward, (clips, frames, heads, n, n): what a place (last axis but one) pays to each
            place (last axis); with its graph.
    """

    def __init__(self, num_frames: int, aligned: bool = True):
        self.num_frames, self.aligned = num_frames, aligned
        self.attention: Tensor | None = None
        self.looking = True

    def look(self, query: Tensor, key: Tensor, weights: Tensor) -> None:
        """Keep the attention; arguments as in `ShortAttention`, with a batch of clips x frames."""
        if not self.looking:
            return
        query, key, weights = (x.unflatten(0, (-1, self.num_frames)) for x in (query, key, weights))
        self.attention = _softmax(query @ key[:, :1].transpose(-1, -2)) if self.aligned else weights
