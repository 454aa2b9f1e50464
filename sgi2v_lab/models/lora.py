"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) in safetensors, added to a network's weights.

A layer's weight W becomes W + scale * alpha / rank * B A, with A (rank, in) and B (out, rank), which costs nothing at
run time. Layers are named as diffusers names them, after "unet." or alone, as peft does, or as kohya's trainer does
("lora_unet_" and underscores for dots).
"""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sgi2v_lab.errors import InputError

__all__ = ["add_lora"]

DOWN = ("lora_A.weight", "lora_A.default.weight", "lora.down.weight", "lora_down.weight", "lora.down", "lora_A")
UP = tuple(name.replace("_A", "_B").replace("down", "up") for name in DOWN)
PREFIX = re.compile(r"^(unet\.|base_model\.model\.|model\.diffusion_model\.|lora_unet_)+")


def add_lora(network: nn.Module, path: Path, scale: float = 1.0) -> None:
    """Add an adapter to a network's weights, in place and for good.

    Raises:
        InputError: the file cannot be read; it is no adapter; or it is for layers that the network does not have, or
            that have another size there.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is no LoRA in safetensors ({error}); give a whole .safetensors file") from None
    layers = {name: part for name, part in network.named_modules() if isinstance(getattr(part, "weight", None), Tensor)}
    layers |= {name.replace(".", "_"): part for name, part in layers.items()}
    changes = []
    for name, (down, up, alpha) in _pairs(tensors, path).items():
        layer = layers.get(name)
        if layer is None:
            raise InputError(f"{path} is for a layer {name}, which this model does not have; give a LoRA made for it")
        rank = down.shape[0]
        change = up.float().flatten(1) @ down.float().flatten(1) if up.shape[1] == rank else up.new_zeros(0)
        if change.numel() != layer.weight.numel():
            raise InputError(
                f"{path} has {tuple(up.shape)} x {tuple(down.shape)} for the layer {name}, which has "
                f"{tuple(layer.weight.shape)} here; give a LoRA made for this model"
            )
        changes.append((layer, change * (scale * (rank if alpha is None else alpha) / rank)))
    with torch.no_grad():
        for layer, change in changes:  # only once all of them fit
            layer.weight += change.reshape(layer.weight.shape).to(layer.weight)


def _pairs(tensors: dict[str, Tensor], path: Path) -> dict[str, tuple[Tensor, Tensor, float | None]]:
    """A and B of every layer, and its alpha."""
    renamed = {PREFIX.sub("", key): tensor for key, tensor in tensors.items()}
    pairs, used = {}, set()
    for key, tensor in renamed.items():
        for down, up in zip(DOWN, UP, strict=True):
            name = key.removesuffix(f".{down}")
            if name != key and f"{name}.{up}" in renamed:
                alpha = renamed.get(f"{name}.alpha")
                pairs[name] = (tensor, renamed[f"{name}.{up}"], None if alpha is None else float(alpha))
                used |= {key, f"{name}.{up}", f"{name}.alpha"}
    if not pairs or set(renamed) - used:
        odd = sorted(set(renamed) - used)
        raise InputError(f"{path} holds {odd[0] if odd else 'nothing'!r}, which is no part of a LoRA for a UNet")
    return pairs
