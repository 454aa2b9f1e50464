"""The set latent code: the encoder computes it, pictures can be turned in it, and it loses no more than it says."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder

from sgi2v_lab.toy.network.architecture import make_vae
from sgi2v_lab.toy.network.latent_code import (
    CHANNELS,
    PATCH,
    encode_patches,
    kernels,
    preview,
    set_encoder,
    transformed,
)
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render

SYMMETRIES = [
    dict(zip(("mirror", "flip", "transpose"), which, strict=True)) for which in product((False, True), repeat=3)
]


def frames(size: int = 64, count: int = 2) -> torch.Tensor:
    return torch.cat([render(sample_scene(HELD_OUT + i), size, slice(0, 1)) for i in range(count)]) * 2 - 1


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_patterns_are_orthogonal():
    flat = kernels().flatten(1)
    gram = flat @ flat.T
    assert torch.allclose(gram, gram.diagonal().diag(), atol=1e-5)
    assert gram.diagonal().min() > 0.05
    assert flat.shape == (CHANNELS, 3 * PATCH * PATCH)


@torch.no_grad()
@pytest.mark.parametrize("picture", ["scene", "extreme"])
def test_the_vaes_encoder_is_the_code(picture):
    """Also for a picture of pixels at the ends of their range, where the latents are largest."""
    x = frames() if picture == "scene" else noise(1, 3, 32, 64).sign()
    vae = make_vae().eval()
    posterior = vae.encode(x).latent_dist
    assert posterior.mode().shape == (len(x), CHANNELS, x.shape[2] // PATCH, x.shape[3] // PATCH)
    assert (posterior.mode() - encode_patches(x)).abs().max() < 1e-2
    assert torch.allclose(posterior.std, torch.tensor(0.05), atol=1e-4)


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=lambda s: "-".join(k for k, on in s.items() if on) or "identity")
def test_turned_latents_are_those_of_the_turned_picture(symmetry):
    x = noise(2, 3, 24, 40)
    turned = x.flip(-1) if symmetry["mirror"] else x
    turned = turned.flip(-2) if symmetry["flip"] else turned
    turned = turned.transpose(-1, -2) if symmetry["transpose"] else turned
    found = transformed(encode_patches(x), **symmetry)
    assert torch.allclose(found, encode_patches(turned), atol=1e-5)
    assert (symmetry == SYMMETRIES[0]) == torch.equal(found, encode_patches(x))


def test_the_preview_is_the_least_squares_inverse():
    z = noise(2, CHANNELS, 3, 5)
    assert torch.allclose(encode_patches(preview(z)), z, atol=1e-5)
    x = noise(2, 3, 24, 40)
    shown = preview(encode_patches(x))
    lost = x - shown
    assert encode_patches(lost).abs().max() < 1e-5  # what is lost is at right angles to all that can be shown ...
    assert torch.allclose(x.pow(2).sum(), shown.pow(2).sum() + lost.pow(2).sum(), rtol=1e-5)
    assert lost.pow(2).sum() < (x - preview(encode_patches(x) + 0.1)).pow(2).sum()  # ... so nothing shows x better


def test_the_first_three_latents_are_a_patchs_mean_colour():
    colour = torch.tensor([0.6, -0.3, 0.1])
    flat = colour.view(1, 3, 1, 1).expand(1, 3, PATCH, PATCH)
    z = encode_patches(flat)[0, :, 0, 0]
    assert z[3:].abs().max() < 1e-6
    assert torch.allclose(preview(z.view(1, -1, 1, 1)), flat, atol=1e-5)


@torch.no_grad()
def test_the_untrained_decoder_shows_each_patchs_mean_colour():
    torch.manual_seed(0)
    x = frames()
    blocks = F.interpolate(F.avg_pool2d(x, PATCH), scale_factor=PATCH)
    decoded = make_vae().eval().decode(encode_patches(x), num_frames=1).sample

    def psnr(y: torch.Tensor) -> float:
        return -10 * ((y.clamp(-1, 1) - x) / 2).pow(2).mean().log10().item()

    assert psnr(decoded) > psnr(blocks) - 1.5
    assert psnr(decoded) > psnr(torch.zeros_like(x)) + 3


def test_an_encoder_that_cannot_hold_the_code_is_refused():
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 128),
        layers_per_block=1,
        latent_channels=CHANNELS,
    )
    with pytest.raises(ValueError, match=r"\[32, 32, 32, 128\].*48"):
        set_encoder(vae)
