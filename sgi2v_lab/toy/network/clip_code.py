"""The latent code of the toy's video transformer: sixteen coefficients of each patch of 4 x 4 pixels and two frames.

As for the toy SVD (`latent_code`) the VAE's encoder is *set*, not learned. It computes the lowest coefficients of the
discrete cosine transform of a patch's brightness and colours, first of the mean of two frames, then of half their
difference:

    channel   0           1           2              3  4               5  6                7
    meaning   brightness  red - blue  green - others brightness slopes  red - blue slopes   brightness saddle
                                                     along x and y      along x and y
    channel   8 to 15: the same of the change from one frame to the next

The VAE is causal, and its first latent is the first frame alone, which is coded as two frames that are the same.
"""

import math

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import Tensor

from sgi2v_lab.toy.network.latent_code import clear, cosine_patterns

__all__ = ["CHANNELS", "FRAMES", "PATCH", "encode_clip", "kernels", "preview", "set_encoder"]

PATCH, FRAMES = 4, 2  # pixels, both sides; frames of a latent
# they bring the toy world's variances closer together: of the mean, and of the difference
_FACTORS = (
    (0.39, 0.45, 0.66, 1.5, 1.5, 2.1, 2.1, 2.6),
    (1.2, 1.45, 2.2, 2.1, 2.1, 2.7, 2.7, 3.1),
)
_PATTERNS = len(_FACTORS[0])
CHANNELS = FRAMES * _PATTERNS
_CARRIER = 1024.0  # dwarfs the latents in the encoder's last norm, so that the norm's scale is constant


def kernels() -> Tensor:
    """The code's patterns, (16, 3, 2, 4, 4): a latent is the inner product of a patch, values -1..1, with its pattern.

    They are orthogonal.
    """
    mean, change = (torch.tensor(row).view(-1, 1, 1, 1) * cosine_patterns(PATCH) / FRAMES for row in _FACTORS)
    return torch.cat([torch.stack([mean, mean], dim=2), torch.stack([-change, change], dim=2)])


def encode_clip(video: Tensor) -> Tensor:
    """A clip (2n + 1, 3, h, w) in -1..1 -> latents (n + 1, 16, h/4, w/4), as the VAE's encoder gives them."""
    video = torch.cat([video[:1], video]).transpose(0, 1)[None]
    return F.conv3d(video, kernels().to(video), stride=(FRAMES, PATCH, PATCH))[0].transpose(0, 1)


def preview(latents: Tensor) -> Tensor:
    """Latents (n + 1, 16, h, w) -> a clip (2n + 1, 3, 4h, 4w) that holds what the code keeps, and nothing else."""
    dual = kernels() / kernels().pow(2).sum(dim=(1, 2, 3, 4), keepdim=True)
    video = F.conv_transpose3d(latents.transpose(0, 1)[None], dual.to(latents), stride=(FRAMES, PATCH, PATCH))
    return video[0].transpose(0, 1)[1:]


@torch.no_grad()
def set_encoder(vae: AutoencoderKLWan) -> None:
    """Set the weights of an encoder that cuts pictures into 2 x 2 patches and has one down-sampling, in space and time.

    Its residual blocks and its attention are identities (their last layers are zero). The down-sampling collects the
    2 x 2 patches of a 4 x 4 patch, and the pairs of frames; the first frame, by itself, does not pass its convolution
    over time. The last norm and SiLU cannot be skipped, but they can be undone: beside a channel K far above all others
    the norm's scale is constant, and SiLU(a) - SiLU(-a) = a.

    Raises ValueError where the channels cannot hold this: 45 at least.
    """
    encoder, width = vae.encoder, vae.config.base_dim
    carrier = 2 * CHANNELS  # below it the latents a, then -a; the last twelve channels hold pixels
    if width <= carrier + 12 or list(vae.config.dim_mult) != [1, 1] or vae.config.patch_size != 2:
        raise ValueError(
            f"the encoder has {width} channels, levels {vae.config.dim_mult} and patch size {vae.config.patch_size}: "
            f"expected more than {carrier + 12}, [1, 1] and 2"
        )
    for module in encoder.modules():
        if hasattr(module, "conv2"):
            clear(module.conv2)
        if hasattr(module, "proj"):
            clear(module.proj)

    pixels = torch.arange(width - 12, width)
    clear(encoder.conv_in)
    encoder.conv_in.weight[pixels, range(12), -1, 1, 1] = 1.0
    down = encoder.down_blocks[0].downsampler
    gather, pair = down.resample[1], down.time_conv
    clear(gather)
    clear(pair)
    mean, change = torch.tensor(_FACTORS)
    # an input channel (c, x, y) of the patch (Y, X) of a 4 x 4 patch holds its pixel (2Y + y, 2X + x)
    pattern = (
        (mean.view(-1, 1, 1, 1) * cosine_patterns(PATCH)).reshape(_PATTERNS, 3, 2, 2, 2, 2).permute(0, 1, 5, 3, 2, 4)
    )
    means, changes = torch.arange(_PATTERNS), torch.arange(_PATTERNS, CHANNELS)
    for start, sign in ((0, 1.0), (CHANNELS, -1.0)):
        gather.weight[start + means, -12:, :2, :2] = sign * pattern.reshape(_PATTERNS, 12, 2, 2)
        for tap, frame in ((1, -1.0), (2, 1.0)):
            pair.weight[start + means, means, tap, 0, 0] = sign / FRAMES
            pair.weight[start + changes, means, tap, 0, 0] = sign * frame * change / mean / FRAMES
    gather.bias[carrier] = pair.bias[carrier] = _CARRIER

    clear(encoder.conv_out)
    rows = torch.arange(CHANNELS)
    encoder.conv_out.weight[rows, rows, -1, 1, 1] = _CARRIER / math.sqrt(width)
    encoder.conv_out.weight[rows, CHANNELS + rows, -1, 1, 1] = -_CARRIER / math.sqrt(width)
    for conv, count in ((vae.quant_conv, CHANNELS), (vae.post_quant_conv, CHANNELS)):
        clear(conv)
        conv.weight[range(count), range(count)] = 1.0
    vae.quant_conv.bias[CHANNELS:] = 2 * math.log(0.05)  # the posterior's spread; the decoder is trained with it
