"""Write what was trained as a StableVideoDiffusionPipeline folder that unmodified diffusers loads, and back."""

import json
import os
import shutil
from pathlib import Path

import torch
from diffusers import DiffusionPipeline, StableVideoDiffusionPipeline

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.identity_blocks import remove_identities
from sgi2v_lab.toy.network.architecture import make_feature_extractor, make_scheduler, make_vae
from sgi2v_lab.toy.training.training import load_checkpoint, save_checkpoint
from sgi2v_lab.toy.training.unet_stage import Denoiser

__all__ = ["export", "unpack", "write_pipeline"]


def export(run: Path, to: Path, settings: dict | None = None) -> None:
    """Write the averaged weights of a training run as half-precision safetensors, and its settings, into a new folder.

    An existing folder is replaced as a whole once the new one is complete; its `settings.json`, `presets.json`,
    `search.json` and `README.md` (the model card) are carried over, unless `settings` are given. InputError where a
    stage has not been trained.
    """
    states = {}
    for stage in ("decoder", "unet"):
        states[stage] = load_checkpoint(run / f"{stage}.pt")
        if states[stage] is None:
            raise InputError(f"{run} has no {stage}.pt; train it first: python -m sgi2v_lab.toy.training.train {stage}")
    vae, denoiser = make_vae(), Denoiser()
    # the temporal layers that were left out of training as identities keep their initial values
    vae.load_state_dict(states["decoder"]["average"], strict=False)
    denoiser.load_state_dict(states["unet"]["average"])
    pipeline = StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=denoiser.image_encoder,
        unet=denoiser.unet,
        scheduler=make_scheduler(),
        feature_extractor=make_feature_extractor(),
    ).to(torch.float16)
    write_pipeline(pipeline, to, settings)


def write_pipeline(pipeline: DiffusionPipeline, to: Path, settings: dict | None = None) -> None:
    """Write a pipeline as safetensors into a folder, as `export` does."""
    partial = to.with_name(to.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline.save_pretrained(partial, safe_serialization=True)
    if settings is not None:
        (partial / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    for name in ("settings.json", "presets.json", "search.json", "README.md"):
        if (to / name).is_file() and not (partial / name).exists():
            shutil.copy(to / name, partial / name)
    old = to.with_name(to.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if to.exists():
        os.replace(to, old)
    os.replace(partial, to)
    shutil.rmtree(old, ignore_errors=True)


def unpack(checkpoint: Path, run: Path) -> None:
    """Begin a training run at the weights of an exported folder; the optimisers and the clocks start afresh.

    InputError where the run has checkpoints already, or the folder is no pipeline.
    """
    for stage in ("decoder", "unet"):
        if (run / f"{stage}.pt").exists():
            raise InputError(f"{run} already has a {stage}.pt; give a new folder")
    if not (checkpoint / "model_index.json").is_file():
        raise InputError(f"{checkpoint} is no exported pipeline: it has no model_index.json")
    pipeline = StableVideoDiffusionPipeline.from_pretrained(checkpoint, dtype=torch.float32)
    denoiser = Denoiser()
    denoiser.unet.load_state_dict(pipeline.unet.state_dict())
    denoiser.image_encoder.load_state_dict(pipeline.image_encoder.state_dict())
    remove_identities(pipeline.vae.decoder)  # as training does
    for stage, weights in (("decoder", pipeline.vae.state_dict()), ("unet", denoiser.state_dict())):
        save_checkpoint(
            run / f"{stage}.pt", model=weights, average=weights, optimizer=None, step=0, clips=0, elapsed=0.0
        )
