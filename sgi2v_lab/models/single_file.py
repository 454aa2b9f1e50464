"""The UNet in a single-file checkpoint of Stable Video Diffusion, as ComfyUI and the original code keep it.

Such a file has the original code's names, which become diffusers' here; tensors are the same. Only its UNet is taken,
which is what fine-tunes change: the VAE and the image encoder are those of the model that it is put into.
"""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from sgi2v_lab.errors import InputError

__all__ = ["diffusers_name", "is_single_file", "put_unet"]

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


def put_unet(network: nn.Module, path: Path) -> None:
    """Replace a UNet's weights, in place, by those of a single-file checkpoint.

    Raises:
        InputError: it is not the same network.
    """
    layers = network.config.layers_per_block
    layers = layers if isinstance(layers, int) else layers[0]
    wanted = network.state_dict()
    with safe_open(path, framework="pt") as tensors:
        names = [key for key in tensors.keys() if key.startswith(PREFIX)]  # noqa: SIM118
        found = {diffusers_name(key.removeprefix(PREFIX), layers): key for key in names}
        shapes = {name: tuple(tensors.get_slice(key).get_shape()) for name, key in found.items()}
        odd = sorted(
            name for name in {*wanted, *found} if tuple(getattr(wanted.get(name), "shape", ())) != shapes.get(name)
        )
        if odd:
            raise InputError(
                f"{path} has not the same UNet as this model: {odd[0]} is {shapes.get(odd[0], 'missing')} there; "
                "put it into the model that it was made from, as in svd-xt+FILE"
            )
        with torch.no_grad():
            for name, key in found.items():  # one at a time: the file is as large as the model
                wanted[name].copy_(tensors.get_tensor(key))
