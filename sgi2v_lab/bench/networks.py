"""Networks to measure: the toy; a miniature with SVD's topology and SVD at full size, both with random weights.

What an operation costs does not depend on the weights, so nothing need be downloaded.
"""

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import load_model, pick_device, pick_dtype
from sgi2v_lab.models.model import Model
from sgi2v_lab.models.svd import StableVideoDiffusion
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
NETWORKS = ("toy", *_SIZES)


def network(name: str, device: str | torch.device | None = None, dtype: str | None = None) -> Model:
    """One of `NETWORKS`, as `load_model` would give it.

    "miniature" has SVD's four levels and three transformers a block, with a fifth of the channels, for 7 frames of
    192 x 128 px; "svd" is SVD itself, 14 frames of 1024 x 576 px. Their weights are random, from a fixed seed. On the
    device "meta" they have shapes and no weights, which is enough to count operations.

    Device and dtype are as in `load_model`. InputError for an unknown name, device or dtype.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network {name!r}: expected one of {', '.join(NETWORKS)}")
    if name == "toy":
        return load_model("toy", device, dtype)
    device = torch.device("meta") if str(device) == "meta" else pick_device(device)
    precision = pick_dtype(dtype or ("fp32" if device.type == "meta" else None), device)
    before = torch.get_default_dtype()
    try:
        # made where and as they are used: a full-size UNet in fp32 on the CPU first would take 6 GB and a minute
        torch.set_default_dtype(precision)
        torch.manual_seed(0)
        with torch.device(device):
            networks = _networks(**{part: size for part, size in _SIZES[name].items() if part != "settings"})
    finally:
        torch.set_default_dtype(before)
    pipeline = StableVideoDiffusionPipeline(
        # nn.Module's own way, without diffusers' remark about precision; some buffers are made on the CPU nevertheless
        **{part: nn.Module.to(made, device) for part, made in networks.items()},
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


def _networks(unet: tuple, vae: tuple, clip: tuple) -> dict[str, nn.Module]:
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
