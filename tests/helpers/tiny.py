"""A random Stable Video Diffusion with SVD's real topology (four levels, two layers a block), small enough to test."""

from functools import cache

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from sgi2v_lab.latents import encode_image
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.settings import Settings

FRAMES = 3
WIDTH, HEIGHT = 128, 64  # of its videos; latents are 8 x 16

# four steps, of which the second and third are guided
SETTINGS = Settings(width=WIDTH, height=HEIGHT, num_inference_steps=4, control_steps=(1, 2), iterations=2)
TINIER = SETTINGS.replace(layers=((2, 0), (2, 1)))


def tiny_pipeline(seed: int = 0) -> StableVideoDiffusionPipeline:
    """VAE 8x down, 32 channels everywhere; the scheduler's configuration is SVD's own."""
    torch.manual_seed(seed)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=8,
        block_out_channels=(32, 32, 64, 64),
        num_attention_heads=(2, 2, 4, 4),
        layers_per_block=2,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        cross_attention_dim=16,
        num_frames=FRAMES,
    )
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32),
        layers_per_block=1,
        latent_channels=4,
        force_upcast=False,
    )
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            projection_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=224,
            patch_size=56,
        )
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        interpolation_type="linear",
        num_train_timesteps=1000,
        prediction_type="v_prediction",
        sigma_max=700.0,
        sigma_min=0.002,
        steps_offset=1,
        timestep_spacing="leading",
        timestep_type="continuous",
        use_karras_sigmas=True,
    )
    pipeline = StableVideoDiffusionPipeline(
        vae=vae, image_encoder=encoder, unet=unet, scheduler=scheduler, feature_extractor=CLIPImageProcessor()
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@cache
def tiny_model() -> Model:
    """One for all tests, which leave it as they found it."""
    return StableVideoDiffusion.from_pipeline(tiny_pipeline(), "tiny", SETTINGS)


def tinier_pipeline() -> StableVideoDiffusionPipeline:
    """Of three levels with a layer each: for what takes long and needs no real topology, half as many operations."""
    pipeline = tiny_pipeline()
    config = pipeline.unet.config
    pipeline.unet = UNetSpatioTemporalConditionModel.from_config(
        config,
        down_block_types=config.down_block_types[1:],
        up_block_types=config.up_block_types[:-1],
        block_out_channels=(32, 32, 32),
        num_attention_heads=(2, 2, 2),
        layers_per_block=1,
    )
    return pipeline


@cache
def tinier_model() -> Model:
    """One for all tests, which leave it as they found it."""
    return StableVideoDiffusion.from_pipeline(tinier_pipeline(), "tiny", TINIER)


def picture(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> torch.Tensor:
    """Noise (3, height, width) whose values are those of an 8-bit file."""
    values = torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed))
    return values.float() / 255


@cache
def conditioning() -> Conditioning:
    """The picture as the tiny model's UNet is told of it."""
    return encode_image(tiny_model(), picture(), SETTINGS, torch.Generator().manual_seed(1))


def noisy_latents(sigma: float, seed: int = 2, h: int = HEIGHT // 8, w: int = WIDTH // 8) -> torch.Tensor:
    """Latents (frames, 4, h, w) as they are at noise level sigma, more or less."""
    return sigma * torch.randn(FRAMES, 4, h, w, generator=torch.Generator().manual_seed(seed))
