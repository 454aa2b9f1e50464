"""Make a trained denoiser larger without making it forget: more latent channels, layers in the finest level, heads.

A deeper network computes the same as before where its new layers begin as identities (their last matrices are zero),
and new latent channels do not disturb where what reads them is zero (Net2Net: Chen et al. 2015, arXiv 1511.05641).
Only more heads cost something: a head is split into two with half the dimensions for queries and keys, of which the
most telling are kept, and half of the values each.
"""

import re

import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.network.architecture import LATENT_CHANNELS, UNetShape, make_unet, shape_of

__all__ = ["grown"]


@torch.no_grad()
def grown(old: UNetSpatioTemporalConditionModel, shape: UNetShape) -> UNetSpatioTemporalConditionModel:
    """A denoiser of `shape`, for today's latent code, that begins with what `old` knows.

    Widths must be the same, and so must the layers of all levels but the finest, which may have one more. The finest
    level may have twice as many heads. The old latent channels must be today's first ones.

    Raises:
        InputError: the shapes do not fit.
    """
    was = shape_of(old)
    deeper, split = shape.layers[0] - was.layers[0], shape.heads[0] == 2 * was.heads[0]
    if (
        was.channels != shape.channels
        or was.layers[1:] != shape.layers[1:]
        or deeper not in (0, 1)
        or was.heads[1:] != shape.heads[1:]
        or not (split or shape.heads[0] == was.heads[0])
    ):
        raise InputError(f"{was} cannot grow into {shape}; give one more layer and twice the heads in the finest level")
    new = make_unet(shape)
    last = was.layers[0]  # the number of the last layer of the finest level on the way up
    weights = new.state_dict()
    for name, value in old.state_dict().items():
        if deeper:  # the last layer, which takes what comes from the first convolution, stays the last
            name = re.sub(rf"^up_blocks\.3\.(resnets|attentions)\.{last}\.", rf"up_blocks.3.\1.{last + 1}.", name)
        if name.startswith("conv_in.weight"):  # noisy latents, then the first frame's
            known = value.shape[1] // 2
            weights[name].zero_()
            weights[name][:, :known] = value[:, :known]
            weights[name][:, LATENT_CHANNELS : LATENT_CHANNELS + known] = value[:, known:]
        elif name.startswith("conv_out"):
            weights[name][: len(value)] = value
            weights[name][len(value) :] *= 0.1
        else:
            weights[name] = value.clone()
    new.load_state_dict(weights)
    if deeper:
        for block, number in ((new.down_blocks[0], last), (new.up_blocks[3], last)):
            _make_identity(block.resnets[number], block.attentions[number])
    if split:
        for block, count in ((new.down_blocks[0], was.layers[0]), (new.up_blocks[3], was.layers[0] + 1)):
            kept = [a for number, a in enumerate(block.attentions) if not deeper or number != last][:count]
            for transformer in kept:
                for part in (*transformer.transformer_blocks, *transformer.temporal_transformer_blocks):
                    _split_heads(part.attn1, was.heads[0])
    return new


def _make_identity(resnet: nn.Module, transformer: nn.Module) -> None:
    for layer in (resnet.spatial_res_block.conv2, resnet.temporal_res_block.conv2, transformer.proj_out):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    shortcut = resnet.spatial_res_block.conv_shortcut
    if shortcut is not None:  # of the hidden state and of what was left for it on the way down, only the first passes
        nn.init.zeros_(shortcut.bias)
        nn.init.zeros_(shortcut.weight)
        shortcut.weight[:, : shortcut.out_channels, 0, 0] = torch.eye(shortcut.out_channels)


def _split_heads(attention: nn.Module, heads: int) -> None:
    """Each head's values go to two heads that attend alike, by the larger half of its queries' and keys' product."""
    queries, keys = (layer.weight.unflatten(0, (heads, -1)) for layer in (attention.to_q, attention.to_k))
    size = queries.shape[1]
    found: list[list[Tensor]] = [[], []]
    for q, k in zip(queries, keys, strict=True):
        left, value, right = torch.linalg.svd(q.T @ k)
        # a head of half the size divides by a smaller root
        root = (value[: size // 2] * 0.5**0.5).sqrt()[:, None]
        for rows, part in zip(found, (left.T[: size // 2] * root, right[: size // 2] * root), strict=True):
            rows += [part, part]
    attention.to_q.weight.copy_(torch.cat(found[0]))
    attention.to_k.weight.copy_(torch.cat(found[1]))
