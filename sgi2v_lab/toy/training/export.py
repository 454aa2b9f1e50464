"""Write what was trained as a folder that unmodified diffusers loads, and read the toy SVD back to train it further."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import DiffusionPipeline, StableVideoDiffusionPipeline, WanImageToVideoPipeline
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.identity_blocks import remove_identities
from sgi2v_lab.toy.network import architecture, transformer
from sgi2v_lab.toy.training.training import load_checkpoint, save_checkpoint
from sgi2v_lab.toy.training.unet_stage import Denoiser

__all__ = ["export", "svd_pipeline", "unpack", "wan_pipeline"]

CARRIED = ("settings.json", "presets.json", "search.json", "README.md")  # beside the weights
Weights = dict[str, Tensor]


def export(run: Path, to: Path, stages: Sequence[str], assemble: Callable[..., DiffusionPipeline]) -> None:
    """Write the averaged weights of a training run as half-precision safetensors into a folder.

    An existing folder is replaced as a whole once the new one is complete; its `CARRIED` files stay. A new folder has
    none of them: until it gets a `settings.json`, a model loaded from it has the settings of its full-size kind.

    Args:
        run: the run's folder.
        to: where to write.
        stages: whose checkpoints are read.
        assemble: makes a pipeline of their weights, in the order of the stages.

    Raises:
        InputError: a stage has not been trained.
    """
    averages = []
    for stage in stages:
        if (state := load_checkpoint(run / f"{stage}.pt")) is None:
            raise InputError(f"{run} has no {stage}.pt; train the stage {stage} first")
        averages.append(state["average"])
    partial, old = (to.with_name(to.name + suffix) for suffix in (".partial", ".old"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    assemble(*averages).save_pretrained(partial, safe_serialization=True)
    for name in CARRIED:
        if (to / name).is_file():
            shutil.copy(to / name, partial / name)
    if to.exists():
        os.replace(to, old)
    os.replace(partial, to)
    shutil.rmtree(old, ignore_errors=True)


def svd_pipeline(decoder: Weights, unet: Weights) -> StableVideoDiffusionPipeline:
    """The toy SVD, in half precision."""
    vae, denoiser = architecture.make_vae(), Denoiser()
    # the temporal layers that were left out of training as identities keep their initial values
    vae.load_state_dict(decoder, strict=False)
    denoiser.load_state_dict(unet)
    return StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=denoiser.image_encoder,
        unet=denoiser.unet,
        scheduler=architecture.make_scheduler(),
        feature_extractor=architecture.make_feature_extractor(),
    ).to(torch.float16)


def wan_pipeline(decoder: Weights, denoiser: Weights) -> WanImageToVideoPipeline:
    """The toy transformer, in half precision."""
    networks = {
        "vae": transformer.make_vae(),
        "transformer": transformer.make_transformer(),
        "text_encoder": transformer.make_text_encoder(),
    }
    networks["vae"].load_state_dict(decoder)
    networks["transformer"].load_state_dict(denoiser)
    for network in networks.values():
        network.half()  # the pipeline's own `to` would leave a part of the transformer in full precision
    return WanImageToVideoPipeline(
        **networks,
        scheduler=transformer.make_scheduler(),
        tokenizer=transformer.make_tokenizer(),
        expand_timesteps=True,
    )


def unpack(checkpoint: Path, run: Path) -> None:
    """Begin a training run at the weights of an exported toy SVD; the optimisers and the clocks start afresh.

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
