"""What can be said of a checkpoint without loading it: from its configuration and its weights' headers."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import MODELS
from sgi2v_lab.settings import Settings

__all__ = ["ModelSummary", "describe_model"]

WEIGHTS = tuple(f"unet/diffusion_pytorch_model{variant}.safetensors" for variant in ("", ".fp16"))


@dataclass(frozen=True)
class ModelSummary:
    """A checkpoint's source and sizes; None for what cannot be known while it is not on this computer."""

    source: str
    here: bool  # whether it can be loaded without a network
    width: int | None = None  # of its own settings' videos, in pixels
    height: int | None = None
    frames: int | None = None
    parameters: int | None = None  # of the UNet


def describe_model(name: str) -> ModelSummary:
    """Look a name, folder or hub id up on this computer only. InputError for a folder that is no checkpoint."""
    source = MODELS.get(name, name)
    folder = Path(source)
    bundled = name == "toy"
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise InputError(f"{folder} is no checkpoint: it has no model_index.json (expected a diffusers SVD folder)")
        where = "this package" if bundled else str(folder)
    elif bundled:
        return ModelSummary("this package", here=False)
    elif source.count("/") != 1 or source[0] in "/.~" or folder.exists():
        raise InputError(f"unknown model {name!r}; expected {', '.join(MODELS)}, a checkpoint folder or a hub id a/b")
    else:
        where = f"huggingface.co/{source}"
    config, weights = _local(source, "unet/config.json"), [path for w in WEIGHTS if (path := _local(source, w))]
    settings = _local(source, "settings.json")
    if config is None:
        return ModelSummary(where, here=False)
    own = Settings.load(settings) if settings else Settings()
    try:
        frames = json.loads(config.read_text(encoding="utf-8")).get("num_frames")
        parameters = _count(weights[0]) if weights else None
    except Exception as error:  # JSON and safetensors each have their own kinds of damage
        raise InputError(
            f"the checkpoint {source} is damaged ({str(error).splitlines()[0]}); fetch it again"
        ) from error
    return ModelSummary(where, bool(weights), own.width, own.height, own.num_frames or frames, parameters)


def _local(source: str, file: str) -> Path | None:
    """A checkpoint's file, in its folder or in the hub's cache."""
    if os.path.isdir(source):
        path = Path(source) / file
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, file)
    return Path(found) if isinstance(found, str) else None


def _count(weights: Path) -> int:
    """The numbers in a safetensors file, by its header."""
    from math import prod

    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as tensors:
        return sum(prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118
