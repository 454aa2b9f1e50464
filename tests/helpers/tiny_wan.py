"""Random Wans in the two ways in which the first frame enters, small enough to test; one has a text encoder."""

from functools import cache

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
)

from sgi2v_lab.latents import encode_image
from sgi2v_lab.models.model import Conditioning
from sgi2v_lab.models.wan import Wan
from sgi2v_lab.settings import Settings

WAYS = ("channels", "first latent")
FRAMES, WIDTH, HEIGHT = 9, 96, 64  # three latents of 8 x 12 cells, 4 x 6 tokens
LATENTS, CHANNELS = 3, 4
SETTINGS = Settings(
    width=WIDTH,
    height=HEIGHT,
    num_frames=FRAMES,
    num_inference_steps=4,
    control_steps=(1, 2),
    iterations=2,
    layers=(0, 1),
    min_guidance_scale=3.0,
    max_guidance_scale=3.0,
    text="a ball moves",
    negative_text="still",
)
WORDS = ("<pad>", "</s>", "<unk>", "a", "ball", "moves", "still")


def tiny_vae(temporal: int = 4) -> AutoencoderKLWan:
    """8x down in space; 2x or 4x in time."""
    return AutoencoderKLWan(
        base_dim=4,
        z_dim=CHANNELS,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[False, temporal == 4, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[0.5, 0.7, 0.9, 1.1],
        scale_factor_temporal=temporal,
    )


def tiny_transformer(way: str, blocks: int = 3, temporal: int = 4, **changes) -> WanTransformer3DModel:
    """Two heads of twelve channels."""
    extra = 0 if way == "first latent" else CHANNELS + temporal
    return WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=CHANNELS + extra,
        out_channels=CHANNELS,
        text_dim=8,
        freq_dim=16,
        ffn_dim=32,
        num_layers=blocks,
        rope_max_seq_len=32,
        **changes,
    )


def text_parts() -> dict[str, object]:
    """A text encoder that knows a few words."""
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    return {
        "text_encoder": UMT5EncoderModel(UMT5Config(vocab_size=len(WORDS), **sizes)),
        "tokenizer": PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
    }


def picture_parts() -> dict[str, object]:
    """An image encoder, as in Wan 2.1."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {
        "image_encoder": CLIPVisionModel(CLIPVisionConfig(image_size=28, patch_size=14, **sizes)),
        "image_processor": CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
    }


def tiny_wan_pipeline(
    way: str = "first latent",
    *,
    scheduler: str = "unipc",
    text: bool = True,
    picture: bool = False,
    experts: bool = False,
    temporal: int = 4,
) -> WanImageToVideoPipeline:
    """Random weights, large enough that each part makes a difference."""
    torch.manual_seed(0)
    changes = {"image_dim": 8, "added_kv_proj_dim": 24} if picture else {}
    schedulers = {
        "unipc": lambda: UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, num_train_timesteps=1000
        ),
        "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    pipeline = WanImageToVideoPipeline(
        vae=tiny_vae(temporal),
        transformer=tiny_transformer(way, temporal=temporal, **changes),
        transformer_2=tiny_transformer(way, temporal=temporal, **changes) if experts else None,
        scheduler=schedulers[scheduler](),
        boundary_ratio=0.8 if experts else None,
        expand_timesteps=way == "first latent",
        **(text_parts() if text else {"text_encoder": None, "tokenizer": None}),
        **(picture_parts() if picture else {}),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@cache
def tiny_wan(way: str = "first latent") -> Wan:
    """One of each for all tests, which leave it as they found it."""
    return Wan.from_pipeline(tiny_wan_pipeline(way), "tiny wan", SETTINGS)


def picture(seed: int = 0) -> torch.Tensor:
    """Noise (3, height, width) whose values are those of an 8-bit file."""
    values = torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(seed))
    return values.float() / 255


@cache
def conditioning(way: str = "first latent") -> Conditioning:
    """The text and the picture as the tiny model's transformer is told of them."""
    return encode_image(tiny_wan(way), picture(), SETTINGS, torch.Generator())


def noisy_latents(seed: int = 2) -> torch.Tensor:
    """Latents (frames, channels, h, w), more or less as they are at any noise level."""
    return torch.randn(LATENTS, CHANNELS, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(seed))
