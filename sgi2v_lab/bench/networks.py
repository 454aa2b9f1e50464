"""Networks to measure: the toy; with random weights, a miniature with SVD's topology, and SVD and Wan at full size.

What an operation costs does not depend on the weights, so nothing need be downloaded.
"""

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import load_model, pick_device, pick_dtype
from sgi2v_lab.models.model import Model
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.models.wan import WAN_SETTINGS, Wan
from sgi2v_lab.settings import Settings

__all__ = ["NETWORKS", "network"]

# UNet: channels and heads of each level, the image token's width; VAE: channels; CLIP: width, layers, heads, patch
_SIZES = {
    "miniature": {
        "unet": ((64, 128, 256, 256), (2, 4, 8, 8), 64),
        "vae": ((32, 32, 64, 64), 1),
        "clip": (64, 2, 4, 56),
        "settings": Settings(width=192, height=128, num_frames=7),
    },
    "svd": {
        "unet": ((320, 640, 1280, 1280), (5, 10, 20, 20), 1024),
        "vae": ((128, 256, 512, 512), 2),
        "clip": (1280, 32, 16, 14),
        "settings": Settings(),
    },
}
# transformer and VAE, by what differs from diffusers' own defaults
_WAN_SIZES = {
    "wan-fun-1.3b": (
        {"num_attention_heads": 12, "in_channels": 36, "ffn_dim": 8960, "image_dim": 1280, "added_kv_proj_dim": 1536},
        {},
    ),
    "wan-ti2v-5b": (
        {"num_attention_heads": 24, "in_channels": 48, "out_channels": 48, "ffn_dim": 14336},
        {
            **{"base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "in_channels": 12, "out_channels": 12},
            **{"is_residual": True, "patch_size": 2, "scale_factor_spatial": 16},
            **{"latents_mean": [0.0] * 48, "latents_std": [1.0] * 48},
        },
    ),
}
NETWORKS = ("toy", *_SIZES, *_WAN_SIZES)


def network(name: str, device: str | torch.device | None = None, dtype: str | None = None) -> Model:
    """One of `NETWORKS`, as `load_model` would give it.

    "miniature" has SVD's four levels and three transformers a block, with a fifth of the channels, for 7 frames of
    192 x 128 px; "svd" is SVD itself, 14 frames of 1024 x 576 px; "wan-fun-1.3b" and "wan-ti2v-5b" are those of
    `load_model` without their text encoder of 5.7 billion parameters, 81 frames of 832 x 480 px. Their weights are
    random, from a fixed seed. On the device "meta" they have shapes and no weights, which is enough to count
    operations.

    Device and dtype are as in `load_model`. InputError for an unknown name, device or dtype.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network {name!r}: expected one of {', '.join(NETWORKS)}")
    if name == "toy":
        return load_model("toy", device, dtype)
    device = torch.device("meta") if str(device) == "meta" else pick_device(device)
    half = torch.float16 if name in _SIZES else torch.bfloat16
    precision = pick_dtype(dtype or ("fp32" if device.type == "meta" else None), device, half)
    before = torch.get_default_dtype()
    try:
        # made where and as they are used: a full-size UNet in fp32 on the CPU first would take 6 GB and a minute
        torch.set_default_dtype(precision)
        torch.manual_seed(0)
        with torch.device(device):
            networks = _wan_networks(*_WAN_SIZES[name]) if name in _WAN_SIZES else _networks(**_SIZES[name])
    finally:
        torch.set_default_dtype(before)
    # nn.Module's own way, without diffusers' remark about precision; some buffers are made on the CPU nevertheless
    networks = {part: nn.Module.to(made, device) for part, made in networks.items()}
    if name in _WAN_SIZES:
        pipeline = WanImageToVideoPipeline(
            scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
            image_processor=CLIPImageProcessor() if "image_encoder" in networks else None,
            **dict.fromkeys(("text_encoder", "tokenizer")),
            expand_timesteps="image_encoder" not in networks,
            **networks,
        )
        return Wan.from_pipeline(pipeline, name, WAN_SETTINGS)
    pipeline = StableVideoDiffusionPipeline(
        **networks,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            sigma_max=700.0,
            sigma_min=0.002,
            steps_offset=1,
            timestep_spacing="leading",
            timestep_type="continuous",
            use_karras_sigmas=True,
        ),
        feature_extractor=CLIPImageProcessor(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return StableVideoDiffusion.from_pipeline(pipeline, name, _SIZES[name]["settings"])


def _networks(unet: tuple, vae: tuple, clip: tuple, **_: object) -> dict[str, nn.Module]:
    """SVD's own configuration but for the sizes."""
    channels, heads, token = unet
    width, layers, clip_heads, patch = clip
    return {
        "vae": AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 4,
            block_out_channels=vae[0],
            layers_per_block=vae[1],
            latent_channels=4,
        ),
        "image_encoder": CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=width,
                intermediate_size=4 * width,
                projection_dim=token,
                num_hidden_layers=layers,
                num_attention_heads=clip_heads,
                image_size=224,
                patch_size=patch,
            )
        ),
        "unet": UNetSpatioTemporalConditionModel(
            block_out_channels=channels,
            num_attention_heads=heads,
            addition_time_embed_dim=max(8, channels[0] * 4 // 5),
            projection_class_embeddings_input_dim=3 * max(8, channels[0] * 4 // 5),
            cross_attention_dim=token,
            num_frames=14,
        ),
    }


def _wan_networks(transformer: dict, vae: dict) -> dict[str, nn.Module]:
    """Wan 2.1's own configuration but for what differs."""
    networks = {
        "transformer": WanTransformer3DModel(num_layers=30, text_dim=4096, **transformer),
        "vae": AutoencoderKLWan(**vae).float(),
    }
    if "image_dim" in transformer:
        sizes = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
        networks["image_encoder"] = CLIPVisionModel(CLIPVisionConfig(image_size=224, patch_size=14, **sizes))
    return networks
