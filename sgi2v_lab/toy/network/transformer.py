"""The toy transformer's parts: those of Wan 2.2 TI2V, whose first latent is the first frame itself, small."""

import math

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from transformers import ByT5Tokenizer, UMT5Config, UMT5EncoderModel

from sgi2v_lab.toy.network.clip_code import CHANNELS, PATCH, kernels, set_encoder
from sgi2v_lab.toy.network.latent_code import clear

__all__ = [
    "NUM_FRAMES",
    "SIZE",
    "make_scheduler",
    "make_text_encoder",
    "make_tokenizer",
    "make_transformer",
    "make_vae",
]

SIZE = 128  # pixels, both sides
NUM_FRAMES = 9
VAE_CHANNELS, DECODER_CHANNELS = 48, 48
HEADS, HEAD, BLOCKS = 4, 48, 6  # sixteen channels of a head for each axis of the rotary positions
TEXT = 16  # channels of a text's tokens


def make_vae() -> AutoencoderKLWan:
    """Wan 2.2's VAE, 4x down in space and 2x in time: a set encoder (`clip_code`) and a decoder to be trained.

    The decoder begins as a magnification of each patch's colour in each frame: its residual blocks and its attention
    are identities.
    """
    vae = AutoencoderKLWan(
        base_dim=VAE_CHANNELS,
        decoder_base_dim=DECODER_CHANNELS,
        z_dim=CHANNELS,
        dim_mult=[1, 1],
        num_res_blocks=1,
        temperal_downsample=[True],
        latents_mean=[0.0] * CHANNELS,
        latents_std=[1.0] * CHANNELS,
        is_residual=True,
        in_channels=12,  # 2 x 2 pixels
        out_channels=12,
        patch_size=2,
        scale_factor_temporal=2,
        scale_factor_spatial=PATCH,
    )
    set_encoder(vae)
    _set_decoder(vae)
    return vae


@torch.no_grad()
def _set_decoder(vae: AutoencoderKLWan, carrier: float = 16.0) -> None:
    """Channels 0 to 2 are a patch's colour, 3 to 5 the same below zero, 6 the carrier, 7 to 9 how its colour changes.

    SiLU(a) - SiLU(-a) = a, as in the encoder.
    """
    decoder = vae.decoder
    for module in decoder.modules():
        for last in ("conv2", "proj"):
            if hasattr(module, last):
                clear(getattr(module, last))
    own = 13
    dual = (kernels() / kernels().pow(2).sum(dim=(1, 2, 3, 4), keepdim=True))[:, :, 1].mean(dim=(2, 3)).T  # (3, 16)
    half = CHANNELS // 2
    clear(decoder.conv_in, slice(own))
    decoder.conv_in.weight[0:3, :half, -1, 1, 1] = dual[:, :half]
    decoder.conv_in.weight[3:6, :half, -1, 1, 1] = -dual[:, :half]
    decoder.conv_in.weight[7:10, half:, -1, 1, 1] = dual[:, half:]
    decoder.conv_in.bias[6] = carrier
    # 10 to 12 carry the change, with its sign, of a latent's two frames; of the first frame, zero
    up = decoder.up_blocks[0].upsampler
    for frame, sign in ((0, -1.0), (1, 1.0)):
        rows = slice(frame * DECODER_CHANNELS, frame * DECODER_CHANNELS + own)
        clear(up.time_conv, rows)
        for c in range(3):
            up.time_conv.weight[frame * DECODER_CHANNELS + 10 + c, 7 + c, -1, 0, 0] = sign
    clear(up.resample[1], slice(own))
    for c in range(3):
        up.resample[1].weight[c, 10 + c, 1, 1] = 1.0
        up.resample[1].weight[3 + c, 10 + c, 1, 1] = -1.0
    out, scale = decoder.conv_out, carrier / DECODER_CHANNELS**0.5
    out.weight.mul_(0.1)
    out.weight[:, :own] = 0
    out.bias.zero_()
    for c in range(3):
        out.weight[4 * c : 4 * c + 4, c, -1, 1, 1] = scale
        out.weight[4 * c : 4 * c + 4, 3 + c, -1, 1, 1] = -scale


def make_transformer() -> WanTransformer3DModel:
    """The denoiser: 16 x 16 tokens for each of five latents.

    Self-attention begins as likeness: keys are made as queries are (Trockman & Kolter 2023, arXiv 2305.09828). Every
    block begins with the same small part in the whole, and the prediction with zero.
    """
    width = HEADS * HEAD
    transformer = WanTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=HEAD,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        text_dim=TEXT,
        freq_dim=64,
        ffn_dim=4 * width,
        num_layers=BLOCKS,
        rope_max_seq_len=64,
    )
    with torch.no_grad():
        for block in transformer.blocks:
            block.attn1.to_k.load_state_dict(block.attn1.to_q.state_dict())
            block.scale_shift_table.zero_()
            block.scale_shift_table[:, [2, 5]] = 1 / math.sqrt(2 * BLOCKS)  # the gates
        transformer.scale_shift_table.zero_()
        clear(transformer.proj_out)
    return transformer


def make_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Flow matching with Wan's shift: most steps are spent where there is much noise, and motion is decided."""
    return FlowMatchEulerDiscreteScheduler(shift=5.0)


def make_text_encoder() -> UMT5EncoderModel:
    """For the format's sake: a text encoder whose every token is zero. The transformer has learnt no text."""
    sizes = {"d_kv": 1, "d_ff": 1, "num_layers": 1, "num_heads": 1}
    encoder = UMT5EncoderModel(UMT5Config(vocab_size=len(make_tokenizer()), d_model=TEXT, **sizes))
    with torch.no_grad():
        encoder.encoder.final_layer_norm.weight.zero_()
    return encoder


def make_tokenizer() -> ByT5Tokenizer:
    """A tokenizer that needs no vocabulary: a text's bytes."""
    return ByT5Tokenizer(extra_ids=0)
