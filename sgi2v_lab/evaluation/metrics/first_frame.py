"""How well was the picture kept? PSNR and SSIM of a video's first frame to the picture that it was made from."""

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.shapes import Image, Video

__all__ = ["first_frame_psnr", "first_frame_ssim", "psnr", "ssim"]


def psnr(a: Video, b: Float[Tensor, "n rgb h w"]) -> Float[Tensor, "frames"]:
    """Peak signal-to-noise ratio of each frame in dB, for values in 0..1; infinite where frames are equal.

    InputError: the shapes differ.
    """
    _check(a, b, "PSNR")
    return -10 * (a.float() - b.float()).pow(2).mean(dim=(1, 2, 3)).log10()


def ssim(a: Video, b: Float[Tensor, "n rgb h w"]) -> Float[Tensor, "frames"]:
    """Structural similarity of each frame (Wang et al. 2004), -1..1; 1 where frames are equal, and higher is better.

    The mean over pixels and colours, with that paper's Gaussian window (standard deviation 1.5 px), for values in
    0..1: scikit-image's `structural_similarity`. The window is in pixels, so SSIM depends on the resolution.

    InputError: the shapes differ, or a side is shorter than the window's 11 pixels.
    """
    with needs("evaluation"):
        from skimage.metrics import structural_similarity  # takes long to import

    _check(a, b, "SSIM")
    if min(a.shape[-2:]) < 11:
        raise InputError(f"SSIM looks through a window of 11x11 pixels, but the frames have {tuple(a.shape[-2:])}")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    pairs = zip(a.detach().double().cpu().numpy(), b.detach().double().cpu().numpy(), strict=True)
    return torch.tensor([structural_similarity(x, y, channel_axis=0, **options) for x, y in pairs]).float()


def first_frame_psnr(video: Video, image: Image) -> float:
    """PSNR in dB of a video's first frame to the picture it was made from; higher is better, infinite if equal."""
    return psnr(video[:1], image[None].to(video.device)).item()


def first_frame_ssim(video: Video, image: Image) -> float:
    """SSIM, -1..1, of a video's first frame to the picture it was made from; higher is better."""
    return ssim(video[:1], image[None].to(video.device)).item()


def _check(a: Tensor, b: Tensor, name: str) -> None:
    if a.shape != b.shape:
        raise InputError(f"{name} compares videos of one shape, got {tuple(a.shape)} and {tuple(b.shape)}; resize one")
