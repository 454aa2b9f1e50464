"""Spectrum distance: has the video the fine detail that it should have, no less and no more?"""

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.frequency import radial_spectrum
from sgi2v_lab.shapes import Video

__all__ = ["spectrum_distance"]

BINS = 16
QUANTUM = (1 / 255) ** 2 / 12  # power of the noise that eight bits make: what is less cannot be seen


def spectrum_distance(video: Video, reference: Float[Tensor, "n 3 h w"]) -> float:
    """Root mean square difference in dB of the radial power spectra, 0 and more; lower is better.

    The log-spectral distance of speech processing (Gray and Markel 1976), of the spectra of pictures averaged over
    all directions (Durall et al. 2020, arXiv 2003.01826, which tells generated pictures from true ones by them):

        d = mean_f sqrt( mean_r (10 log10 P_f(r) / R(r))^2 ),      r over rings of equal width up to Nyquist

    R is the mean spectrum of the reference (n, 3, h, w) in 0..1: the true clip, or the picture. Blur lowers the outer
    rings; noise and the patterns of badly optimised latents raise them. It does not see where things are. Frames lose
    their mean and fade out towards their edges (a Hann window), or the jump from edge to edge would hide the outer
    rings. InputError: other sizes.
    """
    if video.shape[-2:] != reference.shape[-2:] or 0 in (len(video), len(reference)):
        shapes = f"{tuple(video.shape)} and {tuple(reference.shape)}"
        raise InputError(f"spectra compare frames of one size, got {shapes}; resize one")
    target = _decibels(reference)
    return torch.stack([(_decibels(f[None]) - target).square().mean().sqrt() for f in video]).mean().item()


def _decibels(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "rings"]:
    """The mean power of frames in rings of equal width up to Nyquist, in dB."""
    frames = frames.detach().float().cpu()
    rows, columns = (torch.hann_window(n, periodic=False) for n in frames.shape[-2:])
    faded = (frames - frames.mean(dim=(-2, -1), keepdim=True)) * torch.outer(rows, columns)
    return 10 * radial_spectrum(faded, BINS)[1].clamp(min=QUANTUM).log10()
