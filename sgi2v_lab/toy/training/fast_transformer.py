"""A Wan transformer's own function for training on a CPU, at about half the cost.

It differs from diffusers' `WanTransformer3DModel.forward` in what it does not compute. With `expand_timesteps` there
are two times, 0 for the tokens of the first latent and that of the noise for all others, which diffusers embeds for
every token. Cross-attention to a single token of text is the same for every query, as a softmax over one key is 1. And
in bfloat16 plain matrix products beat PyTorch's fused attention on CPUs, above all backwards.
"""

from collections.abc import Callable

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

__all__ = ["fast_forward", "rotary"]

Look = Callable[[int, Tensor, Tensor], None]


def fast_forward(
    transformer: WanTransformer3DModel, latents: Tensor, time: Tensor, look: Look | None = None, stretch: int = 1
) -> Tensor:
    """Predict v (batch, frames, channels, h, w) without a text, whose only token is zero.

    Args:
        transformer: with a patch of 1 x 2 x 2 latents.
        latents: (batch, frames, channels, h, w); the first of each clip is clean.
        time: (batch,), 0 to 1000, of all others.
        look: called in every block with its number and its queries and keys, normed and rotated:
            (batch, heads, tokens, head_dim), the queries divided by the square root of head_dim.
        stretch: the tokens' distance in the places of the rotary positions, for small pictures that stand for large.
    """
    batch, frames, _, h, w = latents.shape
    places = rotary(transformer, frames, h // 2, w // 2, stretch)
    hidden = transformer.patch_embedding(latents.transpose(1, 2)).permute(0, 2, 3, 4, 1).flatten(2, 3).float()
    embedder = transformer.condition_embedder
    times = torch.stack([torch.zeros_like(time), time], dim=1)
    text = latents.new_zeros(1, 1, embedder.text_embedder.linear_1.in_features)
    embedded, modulation, text, _ = embedder(times.flatten(), text, timestep_seq_len=2)
    modulation = modulation.unflatten(2, (6, -1))  # (batch, 2, 6, width)
    for number, block in enumerate(transformer.blocks):
        shift, scale, gate, *then = _of_frames(block.scale_shift_table[None] + modulation, frames)
        attended = _attention(block.attn1, block.norm1(hidden) * (1 + scale) + shift, places, number, look)
        hidden = hidden + attended * gate
        hidden = hidden + block.attn2.to_out[0](block.attn2.to_v(text))
        shift, scale, gate = then
        hidden = hidden + block.ffn(block.norm3(hidden) * (1 + scale) + shift) * gate
    shift, scale = _of_frames(transformer.scale_shift_table[None] + embedded[:, :, None], frames)
    patches = transformer.proj_out(transformer.norm_out(hidden) * (1 + scale) + shift)
    patches = patches.view(batch, frames, h // 2, w // 2, 2, 2, -1)
    return patches.permute(0, 1, 6, 2, 4, 3, 5).reshape(batch, frames, -1, h, w)


def rotary(
    transformer: WanTransformer3DModel, frames: int, rows: int, columns: int, stretch: int = 1
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position, (frames * rows * columns, head_dim / 2), as `transformer.rope` has them.

    With a `stretch`, neighbours are that many places apart, and a token lies in the middle of the places it stands for.
    """
    rope = transformer.rope
    once = torch.atan2(rope.freqs_sin[1], rope.freqs_cos[1])[::2].split(
        [rope.t_dim // 2, rope.h_dim // 2, rope.w_dim // 2]
    )
    t, y, x = (
        torch.arange(count, device=once[0].device) * step + (step - 1) / 2
        for count, step in ((frames, 1), (rows, stretch), (columns, stretch))
    )
    shape = (frames, rows, columns, -1)
    angle = torch.cat(
        [
            (t[:, None] * once[0])[:, None, None].expand(shape),
            (y[:, None] * once[1])[None, :, None].expand(shape),
            (x[:, None] * once[2])[None, None].expand(shape),
        ],
        dim=-1,
    ).flatten(0, 2)
    return angle.cos().float(), angle.sin().float()


def _of_frames(modulation: Tensor, frames: int) -> list[Tensor]:
    """(batch, 2, n, width), of the first frame and of all others -> n times (batch, frames, 1, width)."""
    first, others = modulation[:, :1], modulation[:, 1:].expand(-1, frames - 1, -1, -1)
    return list(torch.cat([first, others], dim=1).float()[:, :, :, None].unbind(2))


def _attention(attention: nn.Module, hidden: Tensor, places: tuple[Tensor, Tensor], number: int, look: Look | None):
    """Self-attention of tokens (batch, frames, places, width)."""
    shape, hidden = hidden.shape, hidden.flatten(1, 2)
    query, key = attention.norm_q(attention.to_q(hidden).float()), attention.norm_k(attention.to_k(hidden).float())
    query, key = (_rotated(x, attention.heads, places) for x in (query, key))
    value = attention.to_v(hidden).unflatten(2, (attention.heads, -1)).transpose(1, 2)
    query, key = (query * query.shape[-1] ** -0.5).to(value.dtype), key.to(value.dtype)
    if look is not None:
        look(number, query, key)
    weights = softmax(query @ key.transpose(-1, -2))
    return attention.to_out[0]((weights @ value).transpose(1, 2).reshape(shape))


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis in the scores' precision; autocast would take twice the time, to write float32."""
    with torch.autocast(scores.device.type, enabled=False):
        return scores.softmax(-1)


def _rotated(tokens: Tensor, heads: int, places: tuple[Tensor, Tensor]) -> Tensor:
    """(batch, n, width) -> (batch, heads, n, head_dim)."""
    cos, sin = places
    x, y = tokens.unflatten(2, (heads, -1, 2)).transpose(1, 2).unbind(-1)
    return torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1).flatten(-2)
