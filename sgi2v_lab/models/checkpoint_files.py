"""The files of a checkpoint, in a folder or in the hub's cache: the one place that knows their names.

Weights of a part are whole or in shards, which an index lists, and in full or in half precision: `model.safetensors`,
`model.fp16.safetensors`, `model.safetensors.index.json`, `model.safetensors.index.fp16.json`.
"""

import json
from pathlib import Path

from sgi2v_lab.errors import InputError

__all__ = ["NETWORKS", "PARTS", "find_file", "find_weights", "local_variant"]

# the parts that have weights, and how their files are called
NETWORKS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "image_encoder": "model"}
CONFIGURATIONS = {
    "feature_extractor": "preprocessor_config.json",
    "image_encoder": "config.json",
    "scheduler": "scheduler_config.json",
    "unet": "config.json",
    "vae": "config.json",
}
PARTS = tuple(CONFIGURATIONS)
VARIANTS = (None, "fp16")


def find_file(source: str, name: str) -> Path | None:
    """A checkpoint's file that is on this computer, in the folder `source` or in the hub's cache of that id."""
    if Path(source).is_dir():
        path = Path(source) / name
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, name)
    return Path(found) if isinstance(found, str) else None


def find_weights(source: str, part: str, variant: str | None) -> list[Path]:
    """The files of a part's weights, whole or all shards; none where any of them is missing.

    Raises:
        InputError: an index of shards cannot be read.
    """
    stem, dot = f"{part}/{NETWORKS[part]}", "" if variant is None else f".{variant}"
    whole = find_file(source, f"{stem}{dot}.safetensors")
    if whole is not None:
        return [whole]
    index = find_file(source, f"{stem}.safetensors.index{dot}.json")
    if index is None:
        return []
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is damaged and names no shards of weights; fetch the checkpoint again") from error
    shards = [find_file(source, f"{part}/{name}") for name in names]
    return [shard for shard in shards if shard is not None] if None not in shards else []


def local_variant(source: str) -> tuple[bool, str | None]:
    """Whether a whole checkpoint is on this computer, and which variant of weights `from_pretrained` needs for it.

    With a variant, diffusers takes a part's ordinary weights where there are no others.
    """
    files = ["model_index.json", *(f"{part}/{name}" for part, name in CONFIGURATIONS.items())]
    if any(find_file(source, name) is None for name in files):
        return False, None
    for allowed in (VARIANTS[:1], VARIANTS):
        if all(any(find_weights(source, part, variant) for variant in allowed) for part in NETWORKS):
            return True, allowed[-1]
    return False, None
