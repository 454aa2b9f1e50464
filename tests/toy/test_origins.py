"""The truth about motion: an origin is where the same colour was."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.toy.network.latent_code import CHANNELS, transformed
from sgi2v_lab.toy.world.origins import transformed_origins, true_origins
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import Scene, Sprite, render

SIDE = 48


def straight(start: tuple[float, float], end: tuple[float, float], frames: int = 5) -> torch.Tensor:
    t = torch.linspace(0, 1, frames)[:, None]
    return (1 - t) * torch.tensor(start) + t * torch.tensor(end)


def a_scene(*sprites: Sprite, camera: torch.Tensor | None = None) -> Scene:
    return Scene(sprites, torch.tensor([0.0, 0.0, 1.0]).repeat(5, 1) if camera is None else camera, "clouds", seed=3)


def a_sprite(path: torch.Tensor, **changes) -> Sprite:
    return replace(Sprite("circle", "plain", (1, 0, 0), (0, 0, 1), 0.2, path), **changes)


@pytest.mark.parametrize("reference", [0, -1])
@pytest.mark.parametrize("seed", [0, 1, 4, 7, 8])
def test_the_reference_frame_looked_up_at_the_origins_is_the_frame(seed, reference):
    scene = sample_scene(seed)
    video, origins = render(scene, SIDE), true_origins(scene, SIDE, reference)
    seen = ~origins.isnan().any(dim=-1)
    assert seen.float().mean() > 0.6
    there = video[reference][None].expand(len(video), -1, -1, -1)
    looked_up = F.grid_sample(there, 2 * origins.nan_to_num(0.5) - 1, align_corners=False)
    error = (looked_up - video).abs().mean(dim=1)[seen]
    still = (video[reference] - video).abs().mean(dim=1)[seen]
    assert error.mean() < 0.02  # edges are antialiased, and looked up between pixels
    assert error.mean() < 0.6 * still.mean()


def test_a_sprite_comes_from_where_it_was_and_the_ground_from_here():
    scene = a_scene(a_sprite(straight((0.3, 0.5), (0.7, 0.5))))
    last = true_origins(scene, 10)[-1]
    assert torch.allclose(last[4, 7], torch.tensor([0.35, 0.45]), atol=1e-6)  # (0.75, 0.45) moved by 0.4
    assert torch.allclose(last[0, 0], torch.tensor([0.05, 0.05]), atol=1e-6)


def test_what_was_hidden_or_outside_has_no_origin():
    scene = a_scene(a_sprite(straight((0.3, 0.5), (0.7, 0.5))))
    assert true_origins(scene, 10)[-1, 4, 3].isnan().all()  # the ground that the sprite has left
    pan = torch.tensor([0.3, 0.0, 1.0]) * torch.tensor([0, 0.25, 0.5, 0.75, 1])[:, None]
    pan[:, 2] = 1
    origins = true_origins(a_scene(camera=pan), 10)[-1]
    assert origins[:, 7:].isnan().all() and not origins[:, :7].isnan().any()
    assert torch.allclose(origins[0, 0], torch.tensor([0.35, 0.05]), atol=1e-6)


def test_every_place_of_the_reference_frame_is_its_own_origin():
    scene = sample_scene(5)
    for reference in (0, 3, -1):
        own = true_origins(scene, 12, reference)[reference]
        middles = (torch.arange(12) + 0.5) / 12
        assert torch.allclose(own[..., 0], middles.expand(12, 12), atol=1e-5)
        assert torch.allclose(own[..., 1], middles[:, None].expand(12, 12), atol=1e-5)


@pytest.mark.parametrize("name", ["mirror", "flip", "transpose"])
def test_turned_origins_are_those_of_the_turned_clip(name):
    """Looking up the turned picture at turned origins gives the turned look-up."""
    scene = sample_scene(4)
    origins = true_origins(scene, SIDE)
    turn = {name: True}
    pictures = torch.rand(8, SIDE, SIDE)[:1].expand(5, -1, -1)[None]  # one smooth-free random picture, five channels
    axis = {"mirror": (-1,), "flip": (-2,)}

    def turned_picture(x):
        return x.transpose(-1, -2) if name == "transpose" else x.flip(axis[name])

    def look_up(picture, at):
        return F.grid_sample(picture.expand(len(at), -1, -1, -1), 2 * at.nan_to_num(5) - 1, align_corners=False)

    expected = turned_picture(look_up(pictures, origins))
    found = look_up(turned_picture(pictures), transformed_origins(origins, **turn))
    assert torch.allclose(found, expected, atol=1e-4)


def test_origins_turn_in_the_order_in_which_latents_do():
    scene = sample_scene(8)
    origins, turn = true_origins(scene, 16), {"mirror": True, "flip": False, "transpose": True}
    places = origins.nan_to_num(0).permute(0, 3, 1, 2)  # as two channels of a map, mirrored and transposed like latents
    maps = places.mean(dim=1, keepdim=True).repeat(1, CHANNELS, 1, 1)
    moved = transformed_origins(torch.stack([maps[:, 0]] * 2, dim=-1), **turn)
    # channel 0 of the code is a patch's brightness, which moves and does not change
    latent = transformed(maps, **turn)[:, 0]
    assert torch.allclose(1 - moved[..., 1], latent, atol=1e-6)
