"""A single-file checkpoint of Stable Video Diffusion, as the original code and ComfyUI keep it, put into a model.

Such a file has the original code's names and no configurations, so it needs a model of the same networks. Its UNet is
taken, and its VAE encoder, VAE decoder and image encoder where it holds them; the rest stays the model's own.
diffusers' `from_single_file` does not know SVD. The names are those of its `scripts/convert_svd_to_diffusers.py` (UNet)
and of DiffSynth-Studio's `svd_*.py` (the rest).
"""

import re
from pathlib import Path

import torch
from diffusers import StableVideoDiffusionPipeline
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sgi2v_lab.errors import InputError

__all__ = ["diffusers_name", "is_single_file", "original_name", "put_networks"]

PREFIX = "model.diffusion_model."
ENDS = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
ATTENTION = {
    "time_stack.": "temporal_transformer_blocks.",
    "time_pos_embed.0.": "time_pos_embed.linear_1.",
    "time_pos_embed.2.": "time_pos_embed.linear_2.",
}
# How the names of the other parts begin; the VAE's encoder is the one that encodes the first frame there.
PARTS = ("conditioner.embedders.3.encoder.", "first_stage_model.decoder.", "conditioner.embedders.0.")
VISUAL = PARTS[2] + "open_clip.model.visual."
SPELLINGS = (
    (r"^encoder\.", PARTS[0] + "encoder."),
    (r"^quant_conv", PARTS[0] + "quant_conv"),
    (r"^decoder\.", PARTS[1]),
    (r"time_conv_out", "conv_out.time_mix_conv"),
    (r"conv_norm_out", "norm_out"),
    (r"_blocks\.(\d+)\.resnets", r".\1.block"),
    (r"_blocks\.(\d+)\.(down|up)samplers\.0", r".\1.\2sample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"group_norm", "norm"),
    (r"to_([qkv])\.", r"\1."),
    (r"to_out\.0", "proj_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"spatial_res_block\.|time_mixer\.", ""),
    (r"temporal_res_block\.(\w+)", lambda found: f"time_stack.{TEMPORAL[found[1]]}"),
    (r"^visual_projection\.weight", VISUAL + "proj"),
    (r"^vision_model\.(embeddings\.)?", VISUAL),
    (r"encoder\.layers", "transformer.resblocks"),
    (r"patch_embedding", "conv1"),
    (r"position_embedding\.weight", "positional_embedding"),
    (r"pre_layrnorm", "ln_pre"),
    (r"post_layernorm", "ln_post"),
    (r"layer_norm", "ln_"),
    (r"self_attn\.[qkv]_proj\.", "attn.in_proj_"),
    (r"self_attn", "attn"),
    (r"fc1", "c_fc"),
    (r"fc2", "c_proj"),
)
TEMPORAL = {new: old for old, new in RESNET.items()}


def diffusers_name(name: str, layers_per_block: int) -> str:
    """A parameter of the original UNet by its name in diffusers; a name that is none comes back as it is.

    The original numbers its blocks through: of `layers_per_block` layers and the change of size after them.
    """
    module, _, kind = name.rpartition(".")
    if module in ENDS:
        return f"{ENDS[module]}.{kind}"
    if found := re.fullmatch(r"middle_block\.([012])\.(.+)", name):
        place, rest = int(found[1]), found[2]
        return (
            f"mid_block.attentions.0.{_attention(rest)}"
            if place == 1
            else f"mid_block.resnets.{place // 2}.{_resnet(rest)}"
        )
    found = re.fullmatch(r"(input|output)_blocks\.(\d+)\.([012])\.(.+)", name)
    if not found:
        return name
    way, place, rest = found[1], found[3], found[4]
    block, layer = divmod(int(found[2]) - (way == "input"), layers_per_block + 1)
    side = f"{'down' if way == 'input' else 'up'}_blocks.{block}"
    if rest.startswith("op."):
        return f"{side}.downsamplers.0.conv.{kind}"
    if place != "0" and rest in ("conv.weight", "conv.bias"):
        return f"{side}.upsamplers.0.{rest}"
    return (
        f"{side}.resnets.{layer}.{_resnet(rest)}" if place == "0" else f"{side}.attentions.{layer}.{_attention(rest)}"
    )


def _resnet(rest: str) -> str:
    if rest.startswith("time_mixer."):
        return rest
    where = "temporal_res_block" if rest.startswith("time_stack.") else "spatial_res_block"
    module, _, kind = rest.removeprefix("time_stack.").rpartition(".")
    return f"{where}.{RESNET.get(module, module)}.{kind}"


def _attention(rest: str) -> str:
    for old, new in ATTENTION.items():
        if rest.startswith(old):
            return new + rest.removeprefix(old)
    return rest


def is_single_file(path: Path) -> bool:
    """Whether a safetensors file has the UNet of an original checkpoint."""
    try:
        with safe_open(path, framework="pt") as tensors:
            return f"{PREFIX}input_blocks.0.0.weight" in set(tensors.keys())
    except (OSError, SafetensorError):
        return False


def original_name(name: str, levels: int) -> str:
    """A parameter of diffusers' VAE (of so many `levels`) or image encoder by its name in the file."""
    name = re.sub(r"up_blocks\.(\d+)", lambda found: f"up_blocks.{levels - 1 - int(found[1])}", name)
    for new, old in SPELLINGS:
        name = re.sub(new, old, name)
    return name


def put_networks(pipeline: StableVideoDiffusionPipeline, path: Path) -> None:
    """Replace a pipeline's weights, in place, by those that a single-file checkpoint holds.

    Raises:
        InputError: a network in the file is another one than the pipeline's; nothing is changed then.
    """
    layers, levels = pipeline.unet.config.layers_per_block, len(pipeline.vae.config.block_out_channels)
    layers = layers if isinstance(layers, int) else layers[0]
    with safe_open(path, framework="pt") as tensors:
        keys = set(tensors.keys())
        unet = {diffusers_name(key.removeprefix(PREFIX), layers): key for key in keys if key.startswith(PREFIX)}
        wanted = pipeline.unet.state_dict()
        pairs = [(name, wanted.get(name), unet.get(name)) for name in sorted({*wanted, *unet})]
        held = tuple(part for part in PARTS if any(key.startswith(part) for key in keys))
        for network in (pipeline.vae, pipeline.image_encoder):
            named = ((name, weight, original_name(name, levels)) for name, weight in network.state_dict().items())
            pairs += [
                (name, weight, key if key in keys else None) for name, weight, key in named if key.startswith(held)
            ]
        for name, weight, key in pairs:
            shape = None
            if key is not None:
                shape = _as_in_diffusers(torch.empty(tensors.get_slice(key).get_shape(), device="meta"), name).shape
            if weight is None or shape != weight.shape:
                raise InputError(
                    f"{path} has not the same networks as this model: {name} is "
                    f"{'missing' if shape is None else tuple(shape)} there; put it into the model that it was made "
                    "from, as in svd-xt+FILE"
                )
        with torch.no_grad():
            for name, weight, key in pairs:  # one at a time: the file is as large as the model
                weight.copy_(_as_in_diffusers(tensors.get_tensor(key), name))


def _as_in_diffusers(held: Tensor, name: str) -> Tensor:
    """The file's tensor as diffusers has it: there, attention is a convolution or has one matrix for q, k and v."""
    if name == "visual_projection.weight":
        return held.T
    if part := re.search(r"self_attn\.([qkv])_proj", name):
        return held.chunk(3)["qkv".index(part[1])]
    return held.flatten(1) if held.ndim == 4 and ".attentions." in name else held
