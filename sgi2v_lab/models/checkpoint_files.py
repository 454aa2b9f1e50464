"""The files of a checkpoint, in a folder or in the hub's cache: their names, and what is wrong where they do not load.

Weights of a part are whole or in shards, which an index lists, and in full or in half precision: `model.safetensors`,
`model.fp16.safetensors`, `model.safetensors.index.json`, `model.safetensors.index.fp16.json`.
"""

import json
from pathlib import Path

from sgi2v_lab.errors import InputError

__all__ = ["configurations", "find_file", "find_weights", "is_wan", "local_variant", "why_not_loaded"]

# the parts that have weights, and how their files are called
NETWORKS = {"image_encoder": "model", "text_encoder": "model"} | dict.fromkeys(
    ("unet", "vae", "transformer", "transformer_2"), "diffusion_pytorch_model"
)
# the parts whose configuration is in no file `config.json`
CONFIGURATIONS = {
    "feature_extractor": "preprocessor_config.json",
    "image_processor": "preprocessor_config.json",
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
}
SVD_PARTS = ("feature_extractor", "image_encoder", "scheduler", "unet", "vae")
VARIANTS = (None, "fp16")


def find_file(source: str, name: str) -> Path | None:
    """A checkpoint's file that is on this computer, in the folder `source` or in the hub's cache of that id."""
    if Path(source).is_dir():
        path = Path(source) / name
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, name)
    return Path(found) if isinstance(found, str) else None


def _index(source: str) -> dict[str, object]:
    """What `model_index.json` says; nothing where it is not here, or damaged."""
    path = find_file(source, "model_index.json")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path is not None else {}
    except (OSError, ValueError, TypeError):
        return {}


def is_wan(source: str) -> bool:
    """Whether a checkpoint's denoiser is a Wan transformer, not Stable Video Diffusion's UNet, as far as is known."""
    return "transformer" in _index(source)


def configurations(source: str) -> dict[str, str]:
    """A checkpoint's parts and their configurations' files; Wan's index says which of the optional parts it has."""
    parts = SVD_PARTS
    if is_wan(source):
        parts = [part for part, kind in _index(source).items() if isinstance(kind, list) and kind[0] is not None]
    return {part: f"{part}/{CONFIGURATIONS.get(part, 'config.json')}" for part in sorted(parts)}


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
    parts = configurations(source)
    if any(find_file(source, name) is None for name in ("model_index.json", *parts.values())):
        return False, None
    networks = [part for part in parts if part in NETWORKS]
    for allowed in (VARIANTS[:1], VARIANTS):
        if all(any(find_weights(source, part, variant) for variant in allowed) for part in networks):
            return True, allowed[-1]
    return False, None


def why_not_loaded(source: str, kind: str, local: bool, error: Exception) -> str:
    """What a failure to load a pipeline of some kind from a folder or a hub id means, and what to do about it."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    kinds = " ".join(f"{type(cause).__name__} {cause}" for cause in causes)  # they tell more than the last error
    reason = " ".join(str(error).split())[:300]
    if "GatedRepo" in kinds:
        return f"{source} is gated: accept its licence on https://huggingface.co/{source}, then run `hf auth login`"
    if "RepositoryNotFound" in kinds:
        return f"the hub knows no model {source!r}; check the name, or run `hf auth login`"
    if not local and isinstance(error, OSError) and "safetensors" not in reason:
        return (
            f"the weights of {source} are not in the local cache and cannot be downloaded; go online once and run "
            f"`hf download {source}`, or give the folder of a local copy, or use the bundled model toy"
        )
    return f"{source} is no complete {kind} in safetensors, which alone are read: {reason}"
