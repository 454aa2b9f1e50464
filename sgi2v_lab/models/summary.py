"""What can be said of a checkpoint without loading it: from its configuration and its weights' headers."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import safe_open

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.checkpoint_files import find_file, find_weights, is_wan, local_variant
from sgi2v_lab.models.load import MODELS, own_settings, resolve

__all__ = ["ModelSummary", "describe_model"]


@dataclass(frozen=True)
class ModelSummary:
    """A checkpoint's source and sizes; None for what cannot be known while it is not on this computer."""

    source: str
    here: bool  # whether it can be loaded without a network
    width: int | None = None  # of its own settings' videos, in pixels
    height: int | None = None
    frames: int | None = None
    parameters: int | None = None  # of the denoiser


def describe_model(name: str) -> ModelSummary:
    """Look a name, folder or hub id up on this computer only; `load_model` finds what is here, and reads the same.

    InputError for a folder that is no checkpoint, or a damaged one.
    """
    bundled = MODELS["toy"], MODELS["toy-dit"]
    if MODELS.get(name) in bundled and not Path(MODELS[name]).is_dir():
        return ModelSummary("this package", here=False)
    source, local = resolve(name)
    where = "this package" if source in bundled else source if local else f"huggingface.co/{source}"
    here, variant = local_variant(source)
    part = "transformer" if is_wan(source) else "unet"
    config = find_file(source, f"{part}/config.json")
    if config is None:
        return ModelSummary(where, here=False)
    own = own_settings(source)
    weights = find_weights(source, part, variant) or find_weights(source, part, None)
    try:
        frames = json.loads(config.read_text(encoding="utf-8")).get("num_frames")
        parameters = sum(map(_count, weights)) or None
    except Exception as error:  # JSON and safetensors each have their own kinds of damage
        raise InputError(f"the checkpoint {source} is damaged ({str(error)[:99]}); fetch it again") from error
    return ModelSummary(where, here, own.width, own.height, own.num_frames or frames, parameters)


def _count(weights: Path) -> int:
    """The numbers in a safetensors file, by its header."""
    with safe_open(weights, framework="numpy") as tensors:
        return sum(prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118
