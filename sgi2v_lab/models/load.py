"""Loading a model: by name, from a folder or from the hub, in safetensors only, with errors that say what to do."""

import os
import re
from contextlib import suppress
from pathlib import Path

import torch
from diffusers import StableVideoDiffusionPipeline, WanImageToVideoPipeline
from diffusers.utils import is_accelerate_available

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import as_path
from sgi2v_lab.models.checkpoint_files import configurations, find_file, is_wan, local_variant, why_not_loaded
from sgi2v_lab.models.identity_blocks import remove_identities
from sgi2v_lab.models.lora import add_lora
from sgi2v_lab.models.model import DTYPES, Model
from sgi2v_lab.models.presets import SVD_PRESETS, read_presets
from sgi2v_lab.models.single_file import is_single_file, put_networks
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.models.wan import WAN_PRESETS, WAN_SETTINGS, Wan
from sgi2v_lab.quiet import no_progress_bars
from sgi2v_lab.settings import Settings

__all__ = ["MODELS", "as_model", "devices", "load_model", "own_settings", "pick_device", "pick_dtype", "resolve"]

TOY = Path(__file__).parents[1] / "toy" / "checkpoint"
MODELS = {
    "toy": str(TOY),
    "toy-dit": str(TOY.with_name("checkpoint_dit")),
    "svd": "stabilityai/stable-video-diffusion-img2vid",
    "svd-xt": "stabilityai/stable-video-diffusion-img2vid-xt",
    "wan-fun-1.3b": "weizhou03/Wan2.1-Fun-1.3B-InP-Diffusers",  # a conversion by a third party
    "wan-ti2v-5b": "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
}


def devices() -> list[str]:
    """The devices that are here, the best first: "cuda" and "mps" where PyTorch finds them, and "cpu"."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, there in here.items() if there]


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or the best there is: CUDA, MPS, CPU. InputError for one that is not there."""
    if device is None:
        device = devices()[0]
    try:
        device = torch.device(device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device} cannot be used here ({reason}); try cpu") from error
    return device


def pick_dtype(dtype: str | torch.dtype | None, device: torch.device, half: torch.dtype = torch.float16) -> torch.dtype:
    """The precision asked for, or fp32 on a CPU and `half` elsewhere. InputError for one that models cannot have."""
    if dtype is None:
        return torch.float32 if device.type == "cpu" else half
    picked = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if picked not in DTYPES.values():
        raise InputError(f"dtype is {dtype!r}: expected {', '.join(DTYPES)}, or one of PyTorch's that they stand for")
    return picked


def load_model(
    name: str | os.PathLike = "toy",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> Model:
    """Load one of `MODELS`, a folder, or a hub id, in diffusers' StableVideoDiffusionPipeline or Wan format.

    What changes its weights is added behind a plus sign: a LoRA of the UNet, with its scale if that is not 1
    ("svd+style.safetensors:0.8"), or a single-file checkpoint ("svd-xt+/home/me/svd_xt.safetensors"): its UNet, and its
    VAE and image encoder where it holds them; the rest, all configurations included, is that of the model before it.

    Wan's format is WanImageToVideoPipeline's, with or without text encoder and image encoder, and WanPipeline's if it
    has `expand_timesteps`; nothing can be added to it.

    Only safetensors are read, whole or in shards, in full or in half precision, and no remote code is run. `device`
    defaults to the best there is, `dtype` ("fp32", "bf16", "fp16" or a torch dtype) to fp32 on CPU and fp16 elsewhere,
    for Wan bf16 with a VAE in fp32. A `settings.json` beside the weights gives the model's own default settings, a
    `presets.json` its presets. InputError says which weights cannot be had, and what to do.
    """
    device = pick_device(device)
    if not isinstance(name, str):
        name = str(as_path(name, "a checkpoint's folder"))
    source, local = resolve(name)
    if not local:
        _fetch_small_files(source)
    wan, added = is_wan(source), split_name(name)[1]
    if wan and added:
        raise InputError(f"{added[0][0]} cannot be added to {source}: expected Stable Video Diffusion before the plus")
    half = torch.bfloat16 if wan else torch.float16
    pipeline = _fetch_pipeline(name, source, local, pick_dtype(dtype, device, half))
    try:
        pipeline.to(device)
    except torch.OutOfMemoryError as error:
        raise InputError(f"{name} does not fit into the memory of {device}; try dtype fp16, or device cpu") from error
    for path, scale in added:
        if is_single_file(path):
            put_networks(pipeline, path)
        else:
            add_lora(pipeline.unet, path, scale)
    settings = own_settings(source)
    remove_identities(pipeline.vae.decoder)
    usual = WAN_PRESETS if wan else SVD_PRESETS
    presets = read_presets(find_file(source, "presets.json"), settings, device, usual)
    return (Wan if wan else StableVideoDiffusion).from_pipeline(pipeline, name, settings, presets)


def as_model(model: object) -> Model:
    """A model as it is, or loaded by its name; InputError for anything else."""
    if isinstance(model, str | os.PathLike):
        return load_model(os.fspath(model))
    if not isinstance(model, Model):
        raise InputError(f"the model is a {type(model).__name__}: expected one from load_model, or its name")
    return model


def split_name(name: str) -> tuple[str, list[tuple[Path, float]]]:
    """A model's name without its LoRAs; and these, each a file and a scale. InputError for a file that is not there."""
    if os.path.exists(name):  # a folder may have a plus sign in its name
        return name, []
    base, *rest = name.split("+")
    adapters = []
    for text in rest:
        found = re.fullmatch(r"(.*\.safetensors)(?::([-+.\d]+))?", text)
        path = as_path(found[1], "a LoRA") if found else None
        if path is None or not path.is_file():
            raise InputError(
                f"there is no LoRA {text!r}: expected the path of a .safetensors file, and its scale if that is not 1, "
                "as in svd+style.safetensors:0.8"
            )
        try:
            adapters.append((path, float(found[2] or 1)))
        except ValueError:
            raise InputError(f"the scale of the LoRA {text!r} is {found[2]!r}: expected a number") from None
    return base, adapters


def resolve(name: str) -> tuple[str, bool]:
    """A model's folder or hub id, and whether it is a folder.

    Raises:
        InputError: the folder is no checkpoint, or the name is none of these.
    """
    name, _ = split_name(name)
    source = MODELS.get(name, name)
    if source and name not in MODELS:
        found = as_path(source, "a checkpoint's folder")
        source = str(found) if source.startswith("~") else source
    folder = Path(source)
    if source and folder.is_dir():
        if not as_path(folder / "model_index.json").is_file():
            raise InputError(f"{folder} is no checkpoint: it has no model_index.json (expected a diffusers SVD folder)")
        parts = configurations(source)
        for part in parts:
            if not (folder / part).is_dir():
                raise InputError(
                    f"{folder} is no complete checkpoint: it has no folder {part} (expected {', '.join(parts)})"
                )
        return source, True
    if folder.is_file() and folder.suffix in (".safetensors", ".ckpt"):
        raise InputError(
            f"{folder} is a single file, which has no configurations: expected a model to put it into, whose own are "
            f"used, as in svd+{folder} or svd-xt+{folder}"
        )
    if folder.exists() or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", source, re.ASCII):
        raise InputError(f"unknown model {name!r}: expected {', '.join(MODELS)}, a checkpoint folder or a hub id a/b")
    return source, False


def own_settings(source: str) -> Settings:
    """The default settings that a checkpoint brings in `settings.json`, or those of its kind."""
    path, usual = find_file(source, "settings.json"), WAN_SETTINGS if is_wan(source) else Settings()
    return usual if path is None else Settings.load(path, usual)


def _fetch_small_files(source: str) -> None:
    """What says of a hub id which format it has, and its own settings; without a network, what the cache has."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    for name in ("model_index.json", "settings.json", "presets.json"):
        with suppress(OSError, ValueError, HfHubHTTPError):  # few have the last two
            if find_file(source, name) is None:
                hf_hub_download(source, name)


def _fetch_pipeline(
    name: str, source: str, local: bool, dtype: torch.dtype
) -> StableVideoDiffusionPipeline | WanImageToVideoPipeline:
    """The pipeline in a folder, or of a hub id, from the local cache or downloaded; `name` is for messages.

    InputError if it is gated, unknown, out of reach, damaged, too large, or no such pipeline.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    here, variant = local_variant(source)
    variants = [variant]
    if not (here or local):
        # the hub keeps a half-precision copy of SVD's weights, half the download
        variants = ["fp16", None] if dtype != torch.float32 and not is_wan(source) else [None]
    kind: type = StableVideoDiffusionPipeline
    given: dict[str, object] = {"dtype": dtype}
    if is_wan(source):
        kind, parts = WanImageToVideoPipeline, configurations(source)
        given = {part: None for part in ("text_encoder", "tokenizer") if part not in parts}
        given["dtype"] = {"default": dtype, "vae": torch.float32}
    for variant in variants:
        try:
            with no_progress_bars():
                pipeline = kind.from_pretrained(
                    source,
                    **given,
                    variant=variant,
                    use_safetensors=True,
                    low_cpu_mem_usage=is_accelerate_available(),  # said, or diffusers recommends it at each load
                )
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise InputError(f"{name} does not fit into memory; try dtype fp16 or model toy") from error
        except Exception as error:  # diffusers and the hub raise many kinds
            if variant == variants[-1] or isinstance(error, HfHubHTTPError | LocalEntryNotFoundError | ConnectionError):
                raise InputError(why_not_loaded(source, kind.__name__, local, error)) from error
            continue
        if not isinstance(pipeline, kind):
            raise InputError(f"{source} is a {type(pipeline).__name__}, but a {kind.__name__} is needed")
        return pipeline
    raise AssertionError("unreachable")
