import cmath
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.frequency import butterworth_mask, mix_frequencies, radial_spectrum

SIDES = st.integers(1, 9)


def radius(y: int, x: int, h: int, w: int) -> float:
    """Of cell (y, x) of a centred grid, whose zero frequency is at (h // 2, w // 2)."""
    return math.hypot(2 * (y - h // 2) / h, 2 * (x - w // 2) / w)


@given(SIDES, SIDES, st.floats(0.05, 1), st.integers(1, 8))
def test_the_mask_cell_by_cell(h, w, cutoff, order):
    mask = butterworth_mask(h, w, cutoff, order)
    assert mask.shape == (h, w)
    for y in range(h):
        for x in range(w):
            expected = 1 / (1 + (radius(y, x, h, w) / cutoff) ** (2 * order))
            assert mask[y, x].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("h", "w"), [(8, 16), (72, 128), (16, 16)])
def test_the_mask_as_the_paper_writes_it(h, w):
    mask = butterworth_mask(h, w)  # for even sides, the only ones that latents have
    for y in range(h):
        for x in range(w):
            squared = (2 * y / h - 1) ** 2 + (2 * x / w - 1) ** 2
            assert mask[y, x].item() == pytest.approx(1 / (1 + (squared / 0.25) ** 4), abs=1e-6)


def test_half_of_the_amplitude_passes_at_the_cutoff():
    assert butterworth_mask(8, 8, cutoff=0.5)[4, 6].item() == pytest.approx(0.5)  # d = 2 * 2 / 8
    assert butterworth_mask(8, 8, cutoff=0.5)[2, 4].item() == pytest.approx(0.5)
    assert butterworth_mask(10, 10, cutoff=1.0)[0, 5].item() == pytest.approx(0.5)  # Nyquist


@given(SIDES, SIDES, st.floats(0.05, 1))
def test_the_mask_treats_a_frequency_and_its_negative_alike(h, w, cutoff):
    mask = butterworth_mask(h, w, cutoff)
    assert mask[h // 2, w // 2] == 1
    for y in range(h):
        for x in range(w):
            # the negative of the frequency k - n // 2 in a spectrum of n values, which repeats after n
            other = (-(y - h // 2) + h // 2) % h, (-(x - w // 2) + w // 2) % w
            assert mask[y, x].item() == pytest.approx(mask[other].item(), abs=1e-6)


@given(SIDES, SIDES, st.floats(0, 0.9), st.floats(0.01, 0.1))
def test_a_higher_cutoff_passes_more(h, w, cutoff, more):
    assert (butterworth_mask(h, w, cutoff + more) >= butterworth_mask(h, w, cutoff)).all()
    if h > 1 and cutoff > 0.3:
        assert butterworth_mask(h, w, cutoff + more).sum() > butterworth_mask(h, w, cutoff).sum()


def test_nothing_passes_at_cutoff_zero():
    assert torch.equal(butterworth_mask(4, 6, 0), torch.zeros(4, 6))


@pytest.mark.parametrize("cutoff", [1e-30, 1e-200, 5e-324])
def test_next_to_nothing_passes_just_above_zero(cutoff):
    expected = torch.zeros(4, 6)
    expected[2, 3] = 1
    assert torch.equal(butterworth_mask(4, 6, cutoff), expected)


@pytest.mark.parametrize("cutoff", [-0.1, 1.1, math.nan])
def test_bad_cutoffs(cutoff):
    with pytest.raises(InputError, match="cutoff"):
        butterworth_mask(4, 4, cutoff)


def slow_mix(optimised: torch.Tensor, original: torch.Tensor, cutoff: float) -> list[list[complex]]:
    """IFFT(L * FFT(optimised) + (1 - L) * FFT(original)) of one (h, w) map, from the sums that define it."""
    h, w = optimised.shape
    spectrum = {}
    for u in range(h):
        for v in range(w):
            # frequency u is, on a centred grid, the one at (u + h // 2) modulo h
            d = radius((u + h // 2) % h, (v + w // 2) % w, h, w)
            low = 1 / (1 + (d / cutoff) ** 8)
            both = [
                sum(
                    data[y, x].item() * cmath.exp(-2j * cmath.pi * (u * y / h + v * x / w))
                    for y in range(h)
                    for x in range(w)
                )
                for data in (optimised, original)
            ]
            spectrum[u, v] = low * both[0] + (1 - low) * both[1]
    return [
        [
            sum(s * cmath.exp(2j * cmath.pi * (u * y / h + v * x / w)) for (u, v), s in spectrum.items()) / (h * w)
            for x in range(w)
        ]
        for y in range(h)
    ]


@pytest.mark.parametrize(("h", "w"), [(4, 6), (5, 4), (3, 5), (1, 7)])
def test_the_mix_is_the_full_complex_formula(h, w):
    optimised, original = torch.randn(2, 2, 1, h, w, generator=torch.Generator().manual_seed(h))
    mixed = mix_frequencies(optimised, original, butterworth_mask(h, w, 0.4))
    for frame in range(2):
        slow = slow_mix(optimised[frame, 0], original[frame, 0], 0.4)
        for y in range(h):
            for x in range(w):
                assert abs(slow[y][x].imag) < 1e-6  # or taking the real part would lose something
                assert mixed[frame, 0, y, x].item() == pytest.approx(slow[y][x].real, abs=1e-5)


def test_ends_of_the_mix():
    optimised, original = 300 * torch.randn(2, 3, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mix_frequencies(optimised, original, butterworth_mask(8, 16, 0)), original)
    assert torch.equal(mix_frequencies(original, original, butterworth_mask(8, 16, 0.5)), original)
    assert torch.allclose(mix_frequencies(optimised, original, torch.ones(8, 16)), optimised, atol=1e-3)


def test_the_mix_keeps_the_originals_precision_and_shape():
    optimised, original = torch.randn(2, 3, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    mixed = mix_frequencies(optimised, original.bfloat16(), butterworth_mask(8, 16))
    assert mixed.dtype == torch.bfloat16
    exact = mix_frequencies(optimised, original.bfloat16().float(), butterworth_mask(8, 16))
    assert (mixed.float() - exact).abs().max() < 0.05
    before = optimised.clone(), original.clone()
    mix_frequencies(optimised, original, butterworth_mask(8, 16))
    assert torch.equal(optimised, before[0])
    assert torch.equal(original, before[1])


def test_a_flat_change_passes_and_a_checkerboard_does_not():
    original = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    flat = mix_frequencies(original + 3, original, butterworth_mask(8, 8))
    assert torch.allclose(flat, original + 3, atol=1e-5)
    board = (-1.0) ** (torch.arange(8)[:, None] + torch.arange(8)[None, :])
    change = mix_frequencies(original + board, original, butterworth_mask(8, 8)) - original
    assert torch.allclose(change, board / (1 + (2 / 0.25) ** 4), atol=1e-5)  # both axes at Nyquist: d^2 = 2


@pytest.mark.parametrize(("h", "w", "bins"), [(8, 16, 16), (5, 7, 4), (6, 5, 3), (9, 9, 20)])
def test_the_spectrum_ring_by_ring(h, w, bins):
    latents = torch.randn(2, 3, h, w, generator=torch.Generator().manual_seed(h))
    middles, power = radial_spectrum(latents, bins)
    assert middles.tolist() == pytest.approx([(k + 0.5) / bins for k in range(bins)])
    rings: list[list[float]] = [[] for _ in range(bins)]
    for frame in range(2):
        for channel in range(3):
            spectrum = torch.fft.fft2(latents[frame, channel].double())
            for u in range(h):
                for v in range(w):
                    d = radius((u + h // 2) % h, (v + w // 2) % w, h, w)
                    if math.floor(d * bins + 1e-5) < bins:
                        rings[math.floor(d * bins + 1e-5)].append(abs(spectrum[u, v].item()) ** 2 / (h * w))
    last = math.nan
    for k, ring in enumerate(rings):
        last = sum(ring) / len(ring) if ring else last
        assert power[k].item() == pytest.approx(last, rel=1e-4), f"ring {k} of {len(ring)} frequencies"


def test_white_noise_is_flat_and_its_power_the_variance():
    noise = 3 * torch.randn(64, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    _, power = radial_spectrum(noise, 8)
    assert torch.allclose(power, torch.full((8,), 9.0), rtol=0.1)


def test_a_wave_shows_at_its_frequency():
    wave = torch.cos(2 * torch.pi * 4 * torch.arange(32) / 32).expand(1, 1, 32, 32)  # 4 of 16: a quarter of Nyquist
    middles, power = radial_spectrum(wave.contiguous(), 10)
    assert abs(middles[power.argmax()].item() - 0.25) <= 0.05
    assert power.topk(2).values[1] < 1e-6 * power.max()
