"""Frequency filtering: keep the optimised latents' low frequencies and the original ones' high frequencies.

Optimising latents takes them off the distribution that the denoiser knows, mostly in high frequencies, which say little
about where things are. Section 3.3 of the paper puts the original ones back.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.efficiency.upload import upload
from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Latents, Mask

__all__ = ["butterworth_mask", "mix_frequencies", "radial_spectrum"]


def _squared_radius(h: int, w: int) -> Mask:
    """Squared distance from zero frequency on the centred grid, in units of the Nyquist frequency."""
    # for even h this is the paper's 2y/h - 1; for odd h that would not be zero at the zero frequency
    y, x = (2 * (torch.arange(n) - n // 2) / n for n in (h, w))
    return y[:, None] ** 2 + x[None, :] ** 2


def butterworth_mask(h: int, w: int, cutoff: float = 0.5, order: int = 4) -> Mask:
    """Butterworth low-pass L = 1 / (1 + (d^2 / r^2)^order) on the centred frequency grid (h, w), values 0..1.

    d is the distance from zero frequency, 1 at Nyquist along an axis; r is `cutoff`, where L is 1/2. r = 0 gives
    zeros: nothing passes.
    """
    if not 0 <= cutoff <= 1:
        raise InputError(f"cutoff is {cutoff}, but must lie between 0 and 1")
    if cutoff == 0:
        return torch.zeros(h, w)
    # in double precision, or the square of a small cutoff would be zero
    return (1 / (1 + (_squared_radius(h, w).double().sqrt() / cutoff) ** (2 * order))).float()


def mix_frequencies(optimized: Latents, original: Latents, mask: Mask) -> Latents:
    """IFFT(L * FFT(optimized) + (1 - L) * FFT(original)), over height and width (equation 4).

    Computed as original + IFFT(L * FFT(optimized - original)), which is the same, and exact where L is zero.
    """
    # MPS and half precision have no complex numbers of their own; the difference is small, so fp32 is enough
    change = torch.fft.fft2((optimized - original).float())
    passed = torch.fft.ifft2(change * upload(torch.fft.ifftshift(mask), optimized)).real
    return original + passed.to(original.dtype)


def radial_spectrum(latents: Latents, bins: int = 16) -> tuple[Float[Tensor, " bins"], Float[Tensor, " bins"]]:
    """Mean power of latents (frames, channels, h, w) in rings of equal width around zero frequency.

    Returns the rings' middles (0..1, in units of Nyquist; corners beyond 1 are left out) and their mean power. A ring
    that holds no frequency of the grid gets the power of the ring within it.
    """
    h, w = latents.shape[-2:]
    power = torch.fft.fftshift(torch.fft.fft2(latents.detach().float().cpu(), norm="ortho").abs() ** 2, dim=(-2, -1))
    power = power.mean(dim=(0, 1)).flatten()
    ring = (_squared_radius(h, w).sqrt().flatten() * bins).long()
    inside = ring < bins
    total = torch.zeros(bins).index_add(0, ring[inside], power[inside])
    count = torch.zeros(bins).index_add(0, ring[inside], torch.ones_like(power[inside]))
    for k in range(1, bins):  # the first ring always holds zero frequency
        if count[k] == 0:
            total[k], count[k] = total[k - 1] / count[k - 1], 1.0
    return (torch.arange(bins) + 0.5) / bins, total / count
