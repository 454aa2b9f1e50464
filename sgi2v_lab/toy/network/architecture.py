"""The toy SVD's five parts: SVD's own classes, small.

The layer addresses are SVD's: four levels, no attention in `up_blocks[0]`, three spatio-temporal transformers in each
of `up_blocks[1]` and `up_blocks[2]`. `up_blocks[3]`, the most expensive on a CPU, has two.
"""

import math

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import SpatioTemporalResBlock
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from sgi2v_lab.toy.network.latent_code import CHANNELS as LATENT_CHANNELS
from sgi2v_lab.toy.network.latent_code import clear, preview, set_encoder

__all__ = [
    "LATENT_CHANNELS",
    "NUM_FRAMES",
    "SIZE",
    "make_feature_extractor",
    "make_image_encoder",
    "make_scheduler",
    "make_unet",
    "make_vae",
]

SIZE = 128  # pixels, both sides
NUM_FRAMES = 8
VAE_CHANNELS = (96, 64, 96, 128)  # four levels: 8x down
UNET_CHANNELS = (64, 96, 96, 96)
HEAD = 32  # channels of an attention head
EMBEDDING = 64  # width of the image token that the UNet attends to

# Diffusers normalises the last activations of VAE and UNet in 32 groups. A group of one channel would lose that
# channel's mean, and with it every flat colour, so the first level has 96 channels in the VAE (a flat picture has no
# other variation to carry its colour) and 64 in the UNet (whose input is never flat: it is noisy).


def make_vae() -> AutoencoderKLTemporalDecoder:
    """SVD's VAE, 8x down: a set encoder (`latent_code`) and a temporal decoder to be trained.

    The decoder begins as a sharp-edged magnification of each patch's mean colour: its residual blocks and temporal
    layers are identities.
    """
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * len(VAE_CHANNELS),
        block_out_channels=VAE_CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        sample_size=SIZE,
        scaling_factor=1.0,
        force_upcast=False,
    )
    set_encoder(vae)
    _set_decoder(vae.decoder)
    return vae


@torch.no_grad()
def _set_decoder(decoder: nn.Module) -> None:
    for block in decoder.modules():
        if isinstance(block, SpatioTemporalResBlock):
            for last in (block.spatial_res_block.conv2, block.temporal_res_block.conv2):
                clear(last)
    identity = torch.zeros_like(decoder.time_conv_out.weight)
    identity[:, :, 1, 0, 0] = torch.eye(3)
    decoder.time_conv_out.weight.copy_(identity)
    nn.init.zeros_(decoder.time_conv_out.bias)

    # Channels (c, -c, K) for each colour c: a group of the last norm, whose mean and scale do not depend on c if K is
    # large. They run through all levels untouched; SiLU(a) - SiLU(-a) = a undoes the last activation.
    carrier = 6.0
    means = (
        preview(torch.eye(LATENT_CHANNELS)[..., None, None]).mean(dim=(2, 3)).T
    )  # colours of one unit of each latent
    colour = torch.arange(3) * 3
    carried = slice(0, 9)
    clear(decoder.conv_in, carried)
    decoder.conv_in.weight[colour, :, 1, 1] = means
    decoder.conv_in.weight[colour + 1, :, 1, 1] = -means
    decoder.conv_in.bias[colour + 2] = carrier
    for block in decoder.up_blocks:
        for upsampler in block.upsamplers or ():
            clear(upsampler.conv, carried)
            upsampler.conv.weight[range(9), range(9), 1, 1] = 1
        for resnet in block.resnets:
            if (shortcut := resnet.spatial_res_block.conv_shortcut) is not None:
                clear(shortcut, carried)
                shortcut.weight[range(9), range(9)] = 1
    scale = carrier * math.sqrt(2) / 3
    decoder.conv_norm_out.bias[[0, 1, 3, 4, 6, 7]] = 1 / math.sqrt(2)  # (c - K / 3) / scale is centred again
    decoder.conv_out.weight.mul_(0.1)
    decoder.conv_out.weight[:, :9] = 0
    decoder.conv_out.bias.zero_()
    decoder.conv_out.weight[range(3), colour, 1, 1] = scale
    decoder.conv_out.weight[range(3), colour + 1, 1, 1] = -scale


def make_unet() -> UNetSpatioTemporalConditionModel:
    """The denoiser; its input is the noisy latents and the first frame's, concatenated over channels."""
    unet = UNetSpatioTemporalConditionModel(
        sample_size=SIZE // 2 ** (len(VAE_CHANNELS) - 1),
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=UNET_CHANNELS,
        layers_per_block=(1, 2, 2, 1),
        num_attention_heads=tuple(c // HEAD for c in UNET_CHANNELS),
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=3 * 32,
        cross_attention_dim=EMBEDDING,
        num_frames=NUM_FRAMES,
    )
    _attend_to_likeness(unet)
    return unet


@torch.no_grad()
def _attend_to_likeness(unet: UNetSpatioTemporalConditionModel) -> None:
    """Let spatial self-attention begin as likeness: keys are made as queries are, and larger than by default.

    Trained transformers end up near this, and small ones learn faster from it (mimetic initialisation: Trockman &
    Kolter 2023, arXiv 2305.09828).
    """
    for block in unet.modules():
        if isinstance(block, BasicTransformerBlock):
            block.attn1.to_q.weight.mul_(math.sqrt(2))
            block.attn1.to_k.weight.copy_(block.attn1.to_q.weight)


def make_image_encoder() -> CLIPVisionModelWithProjection:
    """A small CLIP vision tower, 224 px in (the pipeline fixes that), one token out."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            projection_dim=EMBEDDING,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=224,
            patch_size=32,
        )
    )


def make_scheduler() -> EulerDiscreteScheduler:
    """SVD's scheduler (v-prediction, Karras sigmas, continuous timesteps) with a range that fits small latents."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        prediction_type="v_prediction",
        use_karras_sigmas=True,
        timestep_type="continuous",
        timestep_spacing="leading",
        steps_offset=1,
        sigma_min=0.01,
        sigma_max=80.0,
    )


def make_feature_extractor() -> CLIPImageProcessor:
    """SVD's CLIP pre-processing."""
    return CLIPImageProcessor()
