"""Write the trained transformer as a WanImageToVideoPipeline folder that unmodified diffusers loads, and back."""

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.network.transformer import (
    NUM_FRAMES,
    SIZE,
    make_scheduler,
    make_text_encoder,
    make_tokenizer,
    make_transformer,
    make_vae,
)
from sgi2v_lab.toy.training.export import write_pipeline
from sgi2v_lab.toy.training.training import load_checkpoint, save_checkpoint

__all__ = ["SETTINGS", "export", "unpack"]

STAGES = ("decoder", "transformer")
# chosen on training scenes for the bundled transformer; a folder that has settings of its own keeps them
SETTINGS = {
    "width": SIZE,
    "height": SIZE,
    "num_frames": NUM_FRAMES,
    "fps": 7,
    "num_inference_steps": 8,
    "control_steps": [1, 4],
    "iterations": 5,
    "learning_rate": 0.2,
    "weight_decay": 0.0,
    "layers": [1, 2],
    "cutoff": 1.0,
    "optimizer": "normalized",
    "min_guidance_scale": 1.0,
    "max_guidance_scale": 1.0,
}


def export(run: Path, to: Path, settings: dict | None = None) -> None:
    """Write the averaged weights of a training run as half-precision safetensors into a folder, and `SETTINGS`.

    What an existing folder holds beside its weights is carried over, unless `settings` are given (see
    `export.write_pipeline`). InputError where a stage has not been trained.
    """
    networks = {"decoder": make_vae(), "transformer": make_transformer()}
    for stage, network in networks.items():
        state = load_checkpoint(run / f"{stage}.pt")
        if state is None:
            train = f"python -m sgi2v_lab.toy.training.train_transformer {stage}"
            raise InputError(f"{run} has no {stage}.pt; train it first: {train}")
        network.load_state_dict(state["average"])
    pipeline = WanImageToVideoPipeline(
        vae=networks["decoder"],
        transformer=networks["transformer"],
        scheduler=make_scheduler(),
        text_encoder=make_text_encoder(),
        tokenizer=make_tokenizer(),
        expand_timesteps=True,
    )
    for network in (pipeline.vae, pipeline.transformer, pipeline.text_encoder):
        network.half()  # diffusers would leave a part of the transformer in full precision
    if settings is None and not (to / "settings.json").is_file():
        settings = SETTINGS
    write_pipeline(pipeline, to, settings)


def unpack(checkpoint: Path, run: Path) -> None:
    """Begin a training run at the weights of an exported folder; the optimisers and the clocks start afresh.

    InputError where the run has checkpoints already, or the folder is no pipeline.
    """
    for stage in STAGES:
        if (run / f"{stage}.pt").exists():
            raise InputError(f"{run} already has a {stage}.pt; give a new folder")
    if not (checkpoint / "model_index.json").is_file():
        raise InputError(f"{checkpoint} is no exported pipeline: it has no model_index.json")
    pipeline = WanImageToVideoPipeline.from_pretrained(checkpoint, dtype=torch.float32)
    for stage, network in zip(STAGES, (pipeline.vae, pipeline.transformer), strict=True):
        weights = network.state_dict()
        save_checkpoint(
            run / f"{stage}.pt", model=weights, average=weights, optimizer=None, step=0, clips=0, elapsed=0.0
        )
