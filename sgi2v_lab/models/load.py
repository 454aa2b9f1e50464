"""Loading a model: by name, from a folder or from the hub, in safetensors only, with errors that say what to do."""

import os
from pathlib import Path

import torch
from diffusers import StableVideoDiffusionPipeline
from diffusers.utils import is_accelerate_available
from safetensors import SafetensorError

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.identity_blocks import remove_identities
from sgi2v_lab.models.model import DTYPES, Model
from sgi2v_lab.models.presets import read_presets
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.settings import Settings

__all__ = ["MODELS", "devices", "load_model", "pick_device"]

TOY = Path(__file__).parents[1] / "toy" / "checkpoint"
MODELS = {
    "toy": str(TOY),
    "svd": "stabilityai/stable-video-diffusion-img2vid",
    "svd-xt": "stabilityai/stable-video-diffusion-img2vid-xt",
}
PARTS = ("feature_extractor", "image_encoder", "scheduler", "unet", "vae")


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
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device} cannot be used here ({reason}); try cpu") from error
    return device


def load_model(
    name: str = "toy", device: str | torch.device | None = None, dtype: str | torch.dtype | None = None
) -> Model:
    """Load "toy", "svd", "svd-xt", a folder, or a hub id, in diffusers' StableVideoDiffusionPipeline format.

    Only safetensors are read and no remote code is run. `device` defaults to the best there is, `dtype` ("fp32",
    "bf16", "fp16" or a torch dtype) to fp32 on CPU and fp16 elsewhere. A `settings.json` in the folder gives the
    model's own default settings, a `presets.json` its presets. InputError says which weights cannot be had, and what to
    do.
    """
    device = pick_device(device)
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else torch.float16
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise InputError(f"dtype is {dtype!r}, but must be one of {', '.join(DTYPES)}")
        dtype = DTYPES[dtype]
    source = MODELS.get(name, name)
    folder = Path(source)
    local = folder.is_dir()
    if local and not (folder / "model_index.json").is_file():
        raise InputError(f"{folder} is no checkpoint: it has no model_index.json (expected a diffusers SVD folder)")
    for part in PARTS if local else ():
        if not (folder / part).is_dir():
            raise InputError(
                f"{folder} is no complete checkpoint: it has no folder {part} (expected {', '.join(PARTS)})"
            )
    if not local and (folder.exists() or os.sep == source[:1] or source.count("/") != 1 or source[0] in ".~"):
        raise InputError(f"unknown model {name!r}; expected {', '.join(MODELS)}, a checkpoint folder or a hub id a/b")
    pipeline = _fetch_pipeline(name, source, dtype)
    try:
        pipeline.to(device)
    except torch.OutOfMemoryError as error:
        raise InputError(f"{name} does not fit into the memory of {device}; try dtype fp16, or device cpu") from error
    settings = Settings.load(folder / "settings.json") if (folder / "settings.json").is_file() else Settings()
    remove_identities(pipeline.vae.decoder)
    presets = read_presets(folder / "presets.json", settings, device)
    return StableVideoDiffusion.from_pipeline(pipeline, name, settings, presets)


def _fetch_pipeline(name: str, source: str, dtype: torch.dtype) -> StableVideoDiffusionPipeline:
    """The pipeline in a folder, or of a hub id, from the local cache or downloaded.

    Args:
        name: what the user called it, for what is said of it.
        source: the folder or the hub id.
        dtype: of its weights.

    Raises:
        InputError: it is gated, unknown, out of reach, damaged, too large, or no StableVideoDiffusionPipeline.
    """
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    # the hub keeps a half-precision copy of SVD's weights, half the download
    variants = ["fp16", None] if not Path(source).is_dir() and dtype != torch.float32 else [None]
    for variant in variants:
        try:
            pipeline = StableVideoDiffusionPipeline.from_pretrained(
                source,
                torch_dtype=dtype,
                variant=variant,
                use_safetensors=True,
                low_cpu_mem_usage=is_accelerate_available(),  # said, or diffusers recommends it at each load
            )
        except GatedRepoError as error:
            raise InputError(
                f"{source} is gated: accept its licence on https://huggingface.co/{source}, then run `hf auth login`"
            ) from error
        except RepositoryNotFoundError as error:
            raise InputError(f"the hub knows no model {source!r}; check the name, or run `hf auth login`") from error
        except (LocalEntryNotFoundError, HfHubHTTPError, ConnectionError) as error:
            raise _unavailable(source) from error
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise InputError(f"{name} does not fit into memory; try dtype fp16 or model toy") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            if variant is not None:
                continue
            if not Path(source).is_dir() and isinstance(error, OSError):
                raise _unavailable(source) from error
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"{source} is no complete StableVideoDiffusionPipeline in safetensors: {reason}"
            ) from error
        if not isinstance(pipeline, StableVideoDiffusionPipeline):
            raise InputError(f"{source} is a {type(pipeline).__name__}, but a StableVideoDiffusionPipeline is needed")
        return pipeline
    raise AssertionError("unreachable")


def _unavailable(source: str) -> InputError:
    return InputError(
        f"the weights of {source} are not in the local cache and cannot be downloaded; go online once and run "
        f"`hf download {source}`, or give the folder of a local copy, or use the bundled model toy"
    )
