"""The transformer's latent code: what the VAE's set encoder computes, and what its decoder begins with."""

import pytest
import torch
from diffusers import AutoencoderKLWan

from sgi2v_lab.toy.network.clip_code import CHANNELS, encode_clip, kernels, preview, set_encoder
from sgi2v_lab.toy.network.latent_code import transformed
from sgi2v_lab.toy.network.transformer import make_vae

SIDE, FRAMES = 16, 5


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    torch.manual_seed(0)
    return make_vae().eval().requires_grad_(False)


def some_clip(seed: int = 0) -> torch.Tensor:
    return torch.rand(FRAMES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_patterns_are_orthogonal():
    flat = kernels().flatten(1)
    gram = flat @ flat.T
    assert torch.allclose(gram, torch.diag(gram.diagonal()), atol=1e-6)


def test_the_vaes_encoder_computes_the_code(vae):
    clip = some_clip()
    posterior = vae.encode(clip.transpose(0, 1)[None]).latent_dist
    assert torch.allclose(posterior.mode()[0].transpose(0, 1), encode_clip(clip), atol=1e-3)
    assert torch.allclose(posterior.std, torch.tensor(0.05), rtol=1e-4)


def test_the_first_latent_is_the_first_frame_as_if_it_stood_still():
    clip = some_clip()
    still = encode_clip(clip[:1].expand(3, -1, -1, -1))
    latents = encode_clip(clip)
    assert torch.allclose(latents[:1], still[:1]) and torch.allclose(still[1], still[0], atol=1e-6)
    assert latents[0, CHANNELS // 2 :].abs().max() < 1e-6  # nothing changes in it
    assert latents[1:, CHANNELS // 2 :].abs().mean() > 0.1


def test_a_preview_holds_what_the_code_keeps():
    latents = torch.randn(3, CHANNELS, 4, 4, generator=torch.Generator().manual_seed(1))
    latents[0, CHANNELS // 2 :] = 0
    assert preview(latents).shape == (FRAMES, 3, SIDE, SIDE)
    assert torch.allclose(encode_clip(preview(latents)), latents, atol=1e-5)


@pytest.mark.parametrize(
    "way", [{"mirror": True}, {"flip": True}, {"transpose": True}, {"mirror": True, "transpose": True}]
)
def test_a_turned_clips_latents_follow_from_its_own(way):
    clip = some_clip()
    turned = clip.flip(-1) if way.get("mirror") else clip
    turned = turned.flip(-2) if way.get("flip") else turned
    turned = turned.transpose(-1, -2) if way.get("transpose") else turned
    assert torch.allclose(transformed(encode_clip(clip), **way), encode_clip(turned), atol=1e-5)


def test_the_decoder_begins_with_each_patchs_colour_in_each_frame(vae):
    colours = torch.rand(FRAMES, 3, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(2)) - 0.5
    clip = colours.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    decoded = vae.decode(encode_clip(clip).transpose(0, 1)[None]).sample[0].transpose(0, 1)
    assert (decoded - clip).abs().mean() < 0.15 * clip.abs().mean()


def test_an_encoder_that_cannot_hold_the_code_is_refused():
    small = AutoencoderKLWan(base_dim=8, z_dim=CHANNELS, dim_mult=[1, 1], num_res_blocks=1, temperal_downsample=[True])
    with pytest.raises(ValueError, match=r"8 channels, levels \[1, 1\] and patch size None: expected more than 44"):
        set_encoder(small)
