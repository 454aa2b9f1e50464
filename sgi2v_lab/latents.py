"""In and out of latent space: a picture becomes what the UNet is told, a video latents, and latents a video."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.models.identity_blocks import without_identities
from sgi2v_lab.models.load import Model
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image, Latents, Video

__all__ = ["Conditioning", "decode_latents", "encode_image", "encode_video", "precise_vae", "vae_precision"]


@dataclass(frozen=True)
class Conditioning:
    """What the UNet is told about the first frame (conditional branch).

    Of several videos in one pass, one after the other; they have one picture, and so the same token.
    """

    embedding: Float[Tensor, "videos 1 embedding"]
    image_latents: Latents  # the first frame's latents, repeated over frames, not scaled (as SVD was trained)
    time_ids: Float[Tensor, "videos 3"]  # fps - 1, motion bucket, noise augmentation

    @property
    def videos(self) -> int:
        """How many videos this is of."""
        return len(self.embedding)


@torch.no_grad()
def encode_image(model: Model, image: Image, settings: Settings, generator: torch.Generator) -> Conditioning:
    """Encode the first frame (3, height, width), values 0..1, as SVD's pipeline does.

    CLIP turns it into one token; the VAE turns it, with a little noise, into latents. The noise is drawn from
    `generator` (on the CPU, so that a seed means the same on every device), before the video's own noise.
    """
    # the memory layout that diffusers' pipeline arrives at; convolutions round differently in another one
    image = image[None].float().clone(memory_format=torch.channels_last)
    small = (_resize_with_antialiasing(image * 2 - 1, (224, 224)) + 1) / 2
    pixels = model.feature_extractor(
        images=small, do_normalize=True, do_center_crop=False, do_resize=False, do_rescale=False, return_tensors="pt"
    ).pixel_values
    embedding = model.image_encoder(pixels.to(model.device, model.dtype)).image_embeds[:, None]

    noise = randn_tensor(image.shape, generator=generator, dtype=image.dtype)
    noisy = (2.0 * image - 1.0) + settings.noise_augmentation * noise
    with precise_vae(model):
        latents = model.vae.encode(noisy.to(model.device, model.vae.dtype)).latent_dist.mode()
    frames = model.num_frames(settings)
    ids = [settings.fps - 1, settings.motion_bucket, settings.noise_augmentation]
    return Conditioning(
        embedding=embedding,
        image_latents=latents.to(model.dtype).repeat(frames, 1, 1, 1),
        time_ids=torch.tensor([ids], dtype=model.dtype, device=model.device),
    )


@torch.no_grad()
def encode_video(model: Model, video: Video, chunk: int | None = None) -> Latents:
    """Encode a video (frames, 3, height, width), values 0..1, to clean latents (frames, channels, h, w).

    They are scaled as the UNet knows them, so `decode_latents` is the way back. Every frame is encoded by itself;
    `chunk` frames at a time take less memory.
    """
    pieces = []
    with precise_vae(model):
        pixels = (2.0 * video - 1.0).to(model.device, model.vae.dtype)
        for piece in pixels.split(chunk or len(pixels)):
            pieces.append(model.vae.encode(piece).latent_dist.mode())
    return (model.vae.config.scaling_factor * torch.cat(pieces)).to(model.dtype)


@torch.no_grad()
def decode_latents(model: Model, latents: Latents, chunk: int | None = None) -> Video:
    """Decode latents (frames, channels, h, w) to a video (frames, 3, height, width), values 0..1, on the CPU.

    `chunk` frames are decoded at a time; fewer take less memory, but the temporal decoder sees fewer neighbours.
    """
    pieces = []
    with precise_vae(model), without_identities(model.vae.decoder):
        scaled = (1 / model.vae.config.scaling_factor * latents).to(model.vae.dtype)
        for piece in scaled.split(chunk or len(scaled)):
            pieces.append(model.vae.decode(piece, num_frames=len(piece)).sample.float().cpu())
    return (torch.cat(pieces) / 2 + 0.5).clamp(0, 1)


def vae_precision(model: Model) -> torch.dtype:
    """What the VAE computes in: SVD's overflows in fp16 and says so in its configuration (`force_upcast`)."""
    overflows = model.vae.dtype == torch.float16 and model.vae.config.force_upcast
    return torch.float32 if overflows else model.vae.dtype


@contextmanager
def precise_vae(model: Model) -> Iterator[None]:
    """While open, the VAE's weights are in `vae_precision`."""
    before, needed = model.vae.dtype, vae_precision(model)
    if needed == before:
        yield
        return
    model.vae.to(dtype=needed)
    try:
        yield
    finally:
        model.vae.to(dtype=before)
