"""The toy's latent code: eight coefficients of each 8x8 patch, whose meaning is known.

Stable Video Diffusion's encoder is learned. The toy's is *set*: it computes the lowest coefficients of the discrete
cosine transform of a patch's brightness and colours, which is nearly what a principal component analysis of the toy's
pictures finds. Because the code is linear, a mirrored or turned clip's latents follow from the clip's own
(`transformed`), and training needs no encoder at all (`encode_patches`).

    channel   0           1           2              3  4               5  6                7
    meaning   brightness  red - blue  green - others brightness slopes  red - blue slopes   brightness saddle
                                                     along x and y      along x and y
"""

import math

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor, nn

__all__ = [
    "CHANNELS",
    "PATCH",
    "clear",
    "cosine_patterns",
    "encode_patches",
    "kernels",
    "preview",
    "set_encoder",
    "transformed",
]

PATCH = 8  # pixels, both sides
# colour axis, order along y, order along x
_ORDERS = ((0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0), (0, 1, 1))
_FACTORS = (0.28, 0.34, 0.54, 0.95, 0.95, 1.1, 1.1, 1.1)  # they bring the toy world's variances closer together
CHANNELS = len(_ORDERS)
_COLOUR_AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 2.0, -1.0))
_CARRIER = 64.0  # dwarfs the latents in each group of the encoder's last norm, so that the norm's scale is constant


def cosine_patterns(side: int) -> Tensor:
    """Orthonormal patterns of a patch, (8, 3, side, side), in the order of the table above."""
    place = (torch.arange(side) + 0.5) / side
    waves = torch.stack([torch.full((side,), math.sqrt(1 / side)), math.sqrt(2 / side) * torch.cos(math.pi * place)])
    colours = F.normalize(torch.tensor(_COLOUR_AXES), dim=1)
    return torch.stack([torch.einsum("c,y,x->cyx", colours[c], waves[v], waves[u]) for c, v, u in _ORDERS])


def kernels() -> Tensor:
    """The code's patterns, (8, 3, 8, 8): a latent is the inner product of a patch, values -1..1, with its pattern."""
    return torch.tensor(_FACTORS).view(-1, 1, 1, 1) * cosine_patterns(PATCH)


def encode_patches(frames: Tensor) -> Tensor:
    """Frames (n, 3, h, w) in -1..1 -> latents (n, 8, h/8, w/8), as the VAE's encoder gives them."""
    return F.conv2d(frames, kernels().to(frames), stride=PATCH)


def preview(latents: Tensor) -> Tensor:
    """Latents (n, 8, h, w) -> pictures (n, 3, 8h, 8w) in -1..1 that hold what the code keeps, and nothing else."""
    dual = kernels() / kernels().pow(2).sum(dim=(1, 2, 3), keepdim=True)  # the patterns are orthogonal
    return F.conv_transpose2d(latents, dual.to(latents), stride=PATCH)


def transformed(latents: Tensor, *, mirror: bool = False, flip: bool = False, transpose: bool = False) -> Tensor:
    """Latents (..., 8, h, w) of the clip mirrored left-right, then flipped top-bottom, then transposed.

    A slope changes its sign with the direction it runs along; a transposition swaps the slopes along x and along y.
    There may be several times eight channels, each eight as above.
    """
    sign = torch.tensor([(-1.0) ** (u * mirror + v * flip) for _, v, u in _ORDERS])
    out = latents.unflatten(-3, (-1, CHANNELS)) * sign.view(-1, 1, 1).to(latents)
    out = out.flip([d for d, wanted in ((-1, mirror), (-2, flip)) if wanted])
    if transpose:
        out = out.transpose(-1, -2)[..., [_ORDERS.index((c, u, v)) for c, v, u in _ORDERS], :, :]
    return out.flatten(-4, -3).contiguous()


@torch.no_grad()
def set_encoder(vae: AutoencoderKLTemporalDecoder) -> None:
    """Set the weights of an encoder with three 2x down-samplings so that it computes `encode_patches`.

    Every residual block and the attention begin as identities (their last layers are zero). The down-samplings collect
    the pixels of 2x2, 4x4 and 8x8 patches; the third takes the coefficients. The last norm and SiLU cannot be
    skipped, but they can be undone: a group of channels (z, -z, K, -K) with K far above z has mean 0 and a constant
    scale, and SiLU(a) - SiLU(-a) = a.

    Raises ValueError where the channels cannot hold this: at least 12, 48 and 32, and 4 * 32, are needed.
    """
    encoder = vae.encoder
    down = encoder.down_blocks
    widths = [block.resnets[-1].conv2.out_channels for block in down]
    if len(down) != 4 or widths[0] < 12 or widths[1] < 48 or widths[2] < 4 * CHANNELS or widths[3] != 4 * 32:
        raise ValueError(f"the encoder's channels are {widths}: expected four levels of >= 12, >= 48, >= 32 and 128")
    for module in encoder.modules():
        if hasattr(module, "conv2") and hasattr(module, "conv1"):
            clear(module.conv2)
            if module.conv_shortcut is not None:
                clear(module.conv_shortcut)
                rows = min(module.conv_shortcut.weight.shape[:2])
                module.conv_shortcut.weight[:rows, :rows, 0, 0] = torch.eye(rows)
    for attention in encoder.mid_block.attentions:
        clear(attention.to_out[0])

    clear(encoder.conv_in)
    encoder.conv_in.weight[:3, :, 1, 1] = torch.eye(3)
    channels = 3
    for block in down[:2]:  # gather 2x2 neighbours into channels: (dy, dx, channel)
        conv = block.downsamplers[0].conv
        clear(conv)
        for k in range(4):
            conv.weight[k * channels : (k + 1) * channels, :channels, k // 2, k % 2] = torch.eye(channels)
        channels *= 4
    conv = down[2].downsamplers[0].conv
    clear(conv)
    # channel (y1, x1, y0, x0, c) of the 4x4 patch (Y, X) of an 8x8 patch holds its pixel (4Y + 2 y1 + y0, ...)
    pattern = kernels().reshape(CHANNELS, 3, 2, 2, 2, 2, 2, 2).permute(0, 3, 6, 4, 7, 1, 2, 5)
    pattern = pattern.reshape(CHANNELS, channels, 2, 2)
    conv.weight[0 : 4 * CHANNELS : 4, :channels, :2, :2] = pattern
    conv.weight[1 : 4 * CHANNELS : 4, :channels, :2, :2] = -pattern
    conv.bias[2::4], conv.bias[3::4] = _CARRIER, -_CARRIER

    clear(encoder.conv_out)
    rows = torch.arange(CHANNELS)
    encoder.conv_out.weight[rows, 4 * rows, 1, 1] = _CARRIER / math.sqrt(2)
    encoder.conv_out.weight[rows, 4 * rows + 1, 1, 1] = -_CARRIER / math.sqrt(2)
    clear(vae.quant_conv)
    vae.quant_conv.weight[rows, rows, 0, 0] = 1.0
    vae.quant_conv.bias[CHANNELS:] = 2 * math.log(0.05)  # the posterior's spread; the decoder is trained with it


def clear(layer: nn.Conv2d | nn.Conv3d | nn.Linear, channels: slice = slice(None)) -> None:
    """Set the weights and biases of a layer, or of some of its output channels, to zero, in place."""
    layer.weight[channels] = 0
    layer.bias[channels] = 0
