"""Frequency filtering: combine the optimised latents' low frequencies with the original high frequencies.

Optimised latents leave the distribution that the denoiser was trained on, mostly in high frequencies, which say little
about where things are. Section 3.3 of the paper therefore restores the original high frequencies.
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
    # for even h this equals the paper's 2y/h - 1, which for odd h would not be 0 at zero frequency
    y, x = (2 * (torch.arange(n) - n // 2) / n for n in (h, w))
    return y[:, None] ** 2 + x[None, :] ** 2


def butterworth_mask(h: int, w: int, cutoff: float = 0.5, order: int = 4) -> Mask:
    """Butterworth low-pass L = 1 / (1 + (d^2 / r^2)^order) on the centred frequency grid (h, w), values 0..1.

    d is the distance from zero frequency, 1 at Nyquist along an axis; r is `cutoff`, where L is 1/2. r = 0 gives
    zeros. InputError for a cutoff outside 0..1.
    """
    if not 0 <= cutoff <= 1:
        raise InputError(f"cutoff is {cutoff}, but must lie between 0 and 1")
    if cutoff == 0:
        return torch.zeros(h, w)
    # in double precision, because a tiny cutoff would be zero in fp32
    return (1 / (1 + (_squared_radius(h, w).double().sqrt() / cutoff) ** (2 * order))).float()


def mix_frequencies(optimized: Latents, original: Latents, mask: Mask) -> Latents:
    """IFFT(L * FFT(optimized) + (1 - L) * FFT(original)), over height and width (equation 4).

    Computed as original + IFFT(L * FFT(optimized - original)), which is the same.
    """
    # The FFT needs fp32. Only the change passes through it, so a mask of zeros leaves `original` exactly as it is.
    change = torch.fft.fft2((optimized - original).float())
    passed = torch.fft.ifft2(change * upload(torch.fft.ifftshift(mask), optimized)).real
    return original + passed.to(original.dtype)


def radial_spectrum(latents: Latents, bins: int = 16) -> tuple[Float[Tensor, " bins"], Float[Tensor, " bins"]]:
    """Mean power of latents (frames, channels, h, w) in rings of equal width around zero frequency.

    Returns the rings' radii (0..1, in units of Nyquist; the corners beyond 1 are left out) and their mean power. A ring
    without a frequency of the grid gets the power of the next smaller ring.
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
            total[k] = total[k - 1] / count[k - 1]
            count[k] = 1.0
    return (torch.arange(bins) + 0.5) / bins, total / count
