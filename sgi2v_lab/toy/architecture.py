"""The toy SVD's five parts: SVD's own classes, small.

The layer addresses are SVD's: four levels, no attention in `up_blocks[0]`, three spatio-temporal transformers in each
of `up_blocks[1]` and `up_blocks[2]`. `up_blocks[3]`, the most expensive on a CPU, has two.
"""

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from diffusers.models.resnet import SpatioTemporalResBlock
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

__all__ = [
    "LATENT_CHANNELS",
    "NUM_FRAMES",
    "SIZE",
    "make_feature_extractor",
    "make_image_encoder",
    "make_scheduler",
    "make_unet",
    "make_vae",
    "skip_temporal_layers",
]

SIZE = 64  # pixels, both sides
NUM_FRAMES = 8
LATENT_CHANNELS = 4
VAE_CHANNELS = (96, 96, 128)  # three levels: 4x down
EMBEDDING = 64  # width of the image token that the UNet attends to

# Diffusers normalises the last activations of VAE and UNet in 32 groups. A group of one channel would lose that
# channel's mean, and with it every flat colour, so the first level has 96 channels in the VAE (a flat picture has no
# other variation to carry its colour) and 64 in the UNet (whose input is never flat: it is noisy).


def make_vae() -> AutoencoderKLTemporalDecoder:
    """A 4x-downsampling VAE with SVD's temporal decoder, whose temporal layers start as identities."""
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * len(VAE_CHANNELS),
        block_out_channels=VAE_CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        sample_size=SIZE,
        scaling_factor=1.0,  # measured and set when training ends
        force_upcast=False,
    )
    for block in _temporal_blocks(vae):
        nn.init.zeros_(block.temporal_res_block.conv2.weight)
        nn.init.zeros_(block.temporal_res_block.conv2.bias)
    identity = torch.zeros_like(vae.decoder.time_conv_out.weight)
    identity[:, :, 1, 0, 0] = torch.eye(3)
    vae.decoder.time_conv_out.weight.data.copy_(identity)
    nn.init.zeros_(vae.decoder.time_conv_out.bias)
    return vae


def _temporal_blocks(vae: AutoencoderKLTemporalDecoder) -> list[SpatioTemporalResBlock]:
    return [m for m in vae.decoder.modules() if isinstance(m, SpatioTemporalResBlock)]


class _Skip(nn.Module):
    def forward(self, hidden: Tensor, temb: Tensor | None = None) -> Tensor:
        return hidden


def skip_temporal_layers(vae: AutoencoderKLTemporalDecoder) -> AutoencoderKLTemporalDecoder:
    """Take out the decoder's temporal blocks while they are identities: the same function at half the cost."""
    for block in _temporal_blocks(vae):
        block.temporal_res_block = _Skip()
    return vae


def make_unet() -> UNetSpatioTemporalConditionModel:
    """The denoiser; its input is the noisy latents and the first frame's, concatenated over channels."""
    return UNetSpatioTemporalConditionModel(
        sample_size=SIZE // 2 ** (len(VAE_CHANNELS) - 1),
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 64, 96, 96),
        layers_per_block=(1, 2, 2, 1),
        num_attention_heads=(4, 4, 6, 6),
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=3 * 32,
        cross_attention_dim=EMBEDDING,
        num_frames=NUM_FRAMES,
    )


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
