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

__all__ = ["is_single_file", "original_name", "original_unet_name", "put_networks"]

PREFIX = "model.diffusion_model."
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
# Names in diffusers, and in the file: of the UNet ...
UNET_SPELLINGS = (
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^add_embedding\.linear_1", "label_emb.0.0"),
    (r"^add_embedding\.linear_2", "label_emb.0.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.resnets\.(\d+)", lambda found: f"middle_block.{2 * int(found[1])}"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"spatial_res_block\.(\w+)", lambda found: RESNET[found[1]]),
    (r"temporal_res_block\.(\w+)", lambda found: f"time_stack.{RESNET[found[1]]}"),
    (r"temporal_transformer_blocks", "time_stack"),
    (r"time_pos_embed\.linear_1", "time_pos_embed.0"),
    (r"time_pos_embed\.linear_2", "time_pos_embed.2"),
)
# ... and of the other parts, by how their names begin; the VAE's encoder is the one that encodes the first frame there.
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
    (r"temporal_res_block\.(\w+)", lambda found: f"time_stack.{RESNET[found[1]]}"),
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


def is_single_file(path: Path) -> bool:
    """Whether a safetensors file has the UNet of an original checkpoint."""
    try:
        with safe_open(path, framework="pt") as tensors:
            return f"{PREFIX}input_blocks.0.0.weight" in set(tensors.keys())
    except (OSError, SafetensorError):
        return False


def original_unet_name(name: str, layers: int, attends: bool) -> str:
    """A parameter of diffusers' UNet by its name in the file, without `PREFIX`.

    The original numbers through what diffusers has in blocks: residual block and attention together, so many `layers`
    a block, and then the change of size. Where a block `attends`, up-sampling follows the last attention.
    """
    parts = {"resnets": "0", "attentions": "1", "downsamplers.0.conv": "0.op"}
    parts["upsamplers.0.conv"] = "2.conv" if attends else "1.conv"
    if found := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|\w+samplers\.0\.conv)(?:\.(\d+))?", name):
        way, block, part, layer = found.groups()
        number = int(block) * (layers + 1) + int(layer or layers)
        where = f"input_blocks.{number + 1}" if way == "down" else f"output_blocks.{number}"
        name = f"{where}.{parts[part]}{name[found.end() :]}"
    for new, old in UNET_SPELLINGS:
        name = re.sub(new, old, name)
    return name


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
    unet, levels = pipeline.unet, len(pipeline.vae.config.block_out_channels)
    layers = unet.config.layers_per_block
    layers = layers if isinstance(layers, int) else layers[0]
    with safe_open(path, framework="pt") as tensors:
        keys = set(tensors.keys())
        held = tuple(part for part in PARTS if any(key.startswith(part) for key in keys))
        pairs = []
        for name, weight in unet.state_dict().items():
            attends = not name.startswith("up_blocks") or hasattr(unet.up_blocks[int(name.split(".")[1])], "attentions")
            pairs.append((name, weight, PREFIX + original_unet_name(name, layers, attends)))
        for network in (pipeline.vae, pipeline.image_encoder):
            named = ((name, weight, original_name(name, levels)) for name, weight in network.state_dict().items())
            pairs += [pair for pair in named if pair[2].startswith(held)]
        more = {key for key in keys if key.startswith(PREFIX)} - {key for *_, key in pairs}
        for name, weight, key in [*pairs, *((key, None, key) for key in sorted(more))]:
            shape = None
            if key in keys:
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
