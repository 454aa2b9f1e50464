"""Between pixels and latents: encode the first frame or a video, decode latents."""

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.models.precision import precise_vae
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image, Latents, Video

__all__ = ["decode_latents", "encode_image", "encode_video"]


def encode_image(model: Model, image: Image, settings: Settings, generator: torch.Generator) -> Conditioning:
    """Encode the first frame (3, height, width), 0..1, into what the denoiser is conditioned on.

    The picture has the settings' size. SVD gets one token from CLIP, and the frame's latents with a little noise.
    `generator` is on the CPU, so that a seed means the same on every device. Call this before `draw_noise`: both draw
    from `generator`, and the order fixes the result.
    """
    wanted = (3, settings.height, settings.width)
    if getattr(image, "shape", None) != wanted or not torch.is_tensor(image) or not image.is_floating_point():
        found = f"{type(image).__name__} {tuple(getattr(image, 'shape', ()))}"
        raise InputError(f"the image is a {found}: expected floats {wanted}, see images.read.first_frame")
    return model.encode_first_frame(image, settings, generator)


@torch.no_grad()
def encode_video(model: Model, video: Video, chunk: int | None = None) -> Latents:
    """Encode a video (frames, 3, height, width), values 0..1, to clean latents (frames, channels, h, w).

    They are scaled as the denoiser expects, z = scaling_factor * E(2x - 1) for SVD; `decode_latents` inverts this.
    SVD encodes each frame by itself; `chunk` frames at a time take less memory.
    """
    with precise_vae(model.vae):
        pixels = (2.0 * video - 1.0).to(model.vae.device, model.vae.dtype)
        return model.to_latents(pixels, chunk).to(model.device, model.dtype)


@torch.no_grad()
def decode_latents(model: Model, latents: Latents, chunk: int | None = None) -> Video:
    """Decode latents (frames, channels, h, w) to a video (frames, 3, height, width), values 0..1, on the CPU.

    `chunk` frames are decoded at a time; fewer take less memory, but SVD's temporal decoder sees fewer neighbours.
    """
    with precise_vae(model.vae):
        pieces = [piece.float().cpu() for piece in model.to_pixels(latents, chunk)]
    return (torch.cat(pieces) / 2 + 0.5).clamp(0, 1)
