"""Models: any image-to-video checkpoint in the format of diffusers' StableVideoDiffusionPipeline.

SVD has five parts: a VAE, a UNet, a CLIP image encoder with its pre-processing, and a scheduler. `load_model` gets them
all; `sgi2v_lab.latents` has the ways in and out of latent space.
"""

import os
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.presets import PRESETS, SVD_PRESETS, Presets, read_presets
from sgi2v_lab.models.weights import fetch_pipeline
from sgi2v_lab.settings import Settings

__all__ = [
    "MODELS",
    "Model",
    "devices",
    "load_model",
    "pick_device",
]

TOY = Path(__file__).parent / "toy" / "checkpoint"
MODELS = {
    "toy": str(TOY),
    "svd": "stabilityai/stable-video-diffusion-img2vid",
    "svd-xt": "stabilityai/stable-video-diffusion-img2vid-xt",
}
PARTS = ("feature_extractor", "image_encoder", "scheduler", "unet", "vae")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Model:
    """The five parts of a Stable Video Diffusion checkpoint, frozen, on one device, and its default settings."""

    name: str
    vae: AutoencoderKLTemporalDecoder
    unet: UNetSpatioTemporalConditionModel
    image_encoder: CLIPVisionModelWithProjection
    scheduler: EulerDiscreteScheduler
    feature_extractor: CLIPImageProcessor
    settings: Settings
    presets: Presets = field(default_factory=lambda: SVD_PRESETS)
    copies: dict[torch.dtype, "Model"] = field(default_factory=dict, init=False, repr=False)  # in other precisions

    @classmethod
    def from_pipeline(
        cls, pipeline: StableVideoDiffusionPipeline, name: str, settings: Settings, presets: Presets = SVD_PRESETS
    ) -> "Model":
        """Take the parts of a diffusers pipeline; their weights are frozen."""
        for part in (pipeline.vae, pipeline.unet, pipeline.image_encoder):
            part.eval().requires_grad_(False)
        return cls(
            name=name,
            vae=pipeline.vae,
            unet=pipeline.unet,
            image_encoder=pipeline.image_encoder,
            scheduler=pipeline.scheduler,
            feature_extractor=pipeline.feature_extractor,
            settings=settings,
            presets=presets,
        )

    def preset(self, name: str) -> Settings:
        """The settings of a preset: "own", "fast", "paper" or "best"; InputError for another name."""
        if name not in self.presets:
            raise InputError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
        return self.settings.replace(**self.presets[name])

    def in_precision(self, name: str) -> "Model":
        """The model with its networks in a precision of `settings.PRECISIONS`: itself, or a copy, which it keeps."""
        dtype = self.dtype if name == "own" else DTYPES[name]
        if dtype == self.dtype:
            return self
        if dtype not in self.copies:
            parts = {part: deepcopy(getattr(self, part)).to(dtype) for part in ("vae", "unet", "image_encoder")}
            self.copies[dtype] = replace(self, **parts)
        return self.copies[dtype]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.unet.dtype

    @property
    def vae_factor(self) -> int:
        """Pixels per latent cell, in each direction (8 for SVD)."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def latent_channels(self) -> int:
        """Channels of the latents (4 for SVD)."""
        return self.unet.config.out_channels

    def num_frames(self, settings: Settings) -> int:
        """The frames of a video: the settings', or else what the UNet was trained for."""
        return settings.num_frames or self.unet.config.num_frames

    def latent_shape(self, settings: Settings) -> tuple[int, int, int, int]:
        """(frames, channels, h, w) of a video's latents; InputError where the picture's size does not divide."""
        # every level of the UNet halves the latents, except the last; sizes that do not divide break its skips
        step = self.vae_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        for name in ("width", "height"):
            if getattr(settings, name) % step:
                raise InputError(
                    f"{name} is {getattr(settings, name)}, but {self.name} needs a multiple of {step} pixels"
                )
        height, width = settings.height // self.vae_factor, settings.width // self.vae_factor
        return self.num_frames(settings), self.latent_channels, height, width

    def check_layers(self, layers: tuple[tuple[int, int], ...]) -> None:
        """InputError for an up block or transformer that this UNet does not have."""
        have = [
            (b, t) for b, block in enumerate(self.unet.up_blocks) for t in range(len(getattr(block, "attentions", ())))
        ]
        for layer in layers:
            if tuple(layer) not in have:
                raise InputError(f"{self.name} has no layer {tuple(layer)}; it has {', '.join(map(str, have))}")


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
    pipeline = fetch_pipeline(name, source, dtype)
    try:
        pipeline.to(device)
    except torch.OutOfMemoryError as error:
        raise InputError(f"{name} does not fit into the memory of {device}; try dtype fp16, or device cpu") from error
    settings = Settings.load(folder / "settings.json") if (folder / "settings.json").is_file() else Settings()
    return Model.from_pipeline(pipeline, name, settings, read_presets(folder / "presets.json", settings, device))
