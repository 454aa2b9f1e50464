"""Weights from folders and from the hub, in safetensors only, with errors that say what to do."""

from pathlib import Path

import torch
from diffusers import StableVideoDiffusionPipeline
from safetensors import SafetensorError

from sgi2v_lab.errors import InputError

__all__ = ["fetch_pipeline"]


def fetch_pipeline(name: str, source: str, dtype: torch.dtype) -> StableVideoDiffusionPipeline:
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
                source, torch_dtype=dtype, variant=variant, use_safetensors=True
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
