"""The toy's world and its parts: known motion really is known, and each layer is where SVD has it."""

import pytest
import torch
from diffusers.models.resnet import TemporalResnetBlock
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.identity_blocks import remove_identities
from sgi2v_lab.toy.network.architecture import LATENT_CHANNELS, make_unet, make_vae
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.cutouts import CUTOUTS, cutout_colours, cutout_distance
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import PHOTOGRAPHS, SHAPES, TEXTURES, Scene, Sprite, motion_bucket, render, true_boxes


def still(frames: int = 4) -> torch.Tensor:
    return torch.tensor([0.0, 0.0, 1.0]).repeat(frames, 1)


@given(st.integers(0, 2**31))
def test_a_seed_is_a_scene(seed):
    one, two = sample_scene(seed), sample_scene(seed)
    assert torch.equal(render(one, 32), render(two, 32))
    assert 0 <= motion_bucket(one) <= 255


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("texture", TEXTURES)
def test_a_sprite_changes_pixels_in_its_true_box_only(shape, texture):
    path = torch.linspace(0.3, 0.7, 4)[:, None].repeat(1, 2)
    camera = still()
    camera[:, 0], camera[:, 2] = torch.linspace(0, 0.1, 4), torch.linspace(1, 1.2, 4)
    sprite = Sprite(shape, texture, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), 0.15, path, angle=0.4)
    with_sprite = Scene((sprite,), camera, "clouds", ((0.2, 0.8, 0.2),) * 3)
    changed = (render(with_sprite, 64) - render(Scene((), camera, "clouds", ((0.2, 0.8, 0.2),) * 3), 64)).abs().sum(1)
    boxes = true_boxes(with_sprite, 64)[0]
    for frame, (x0, y0, x1, y1) in zip(changed, boxes.tolist(), strict=True):
        rows, columns = (frame > 0.02).nonzero().unbind(1)
        assert len(rows) > 20
        # the box is tight, to a pixel that is partly covered
        assert [columns.min(), rows.min()] == pytest.approx([x0, y0], abs=1.6)
        assert [columns.max() + 1, rows.max() + 1] == pytest.approx([x1, y1], abs=1.6)


def test_the_camera_moves_the_background():
    camera = still(2)
    camera[1, 0] = 8 / 64
    first, second = render(Scene((), camera, "clouds", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), seed=3), 64)
    assert torch.allclose(first[:, :, 8:], second[:, :, :-8], atol=1e-4)


def test_motion_bucket_grows_with_speed():
    def bucket(length: float) -> int:
        path = torch.tensor([[0.1, 0.5]]).repeat(4, 1)
        path[:, 0] += torch.linspace(0, length, 4)
        return motion_bucket(Scene((Sprite("circle", "plain", (1, 0, 0), (0, 0, 1), 0.1, path),), still()))

    assert bucket(0.0) == 0
    assert bucket(0.1) < bucket(0.2) < bucket(0.4)


def test_unknown_shapes_are_named():
    sprite = Sprite("blob", "plain", (1, 0, 0), (0, 0, 1), 0.1, torch.full((4, 2), 0.5))
    with pytest.raises(ValueError, match="blob"):
        render(Scene((sprite,), still()), 16)


def test_layers_have_svds_addresses():
    blocks = enumerate(make_unet().up_blocks)
    layers = tuple((b, t) for b, block in blocks for t in range(len(getattr(block, "attentions", ()))))
    assert layers == ((1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1))


@torch.no_grad()
def test_fresh_temporal_layers_are_identities():
    torch.manual_seed(0)
    vae = make_vae().eval()
    z = torch.randn(3, LATENT_CHANNELS, 4, 4)
    together = vae.decode(z, num_frames=3).sample
    alone = torch.cat([vae.decode(frame[None], num_frames=1).sample for frame in z])
    assert torch.allclose(together, alone, atol=1e-5)
    remove_identities(vae.decoder)
    assert not any(isinstance(part, TemporalResnetBlock) for part in vae.decoder.modules())
    assert torch.allclose(together, vae.decode(z, num_frames=3).sample, atol=1e-5)


# --- the hard set ----------------------------------------------------------------------------------------------------

# Mean red, green and blue of the first and last frame: a seed that someone wrote down must go on naming the same scene.
SCENES = {
    0: (0.5702, 0.3174, 0.1922, 0.5657, 0.3078, 0.1849),
    1: (0.7662, 0.5659, 0.2758, 0.7658, 0.5419, 0.2648),
    2: (0.6141, 0.4534, 0.2938, 0.6195, 0.4528, 0.2937),
    3: (0.6256, 0.5793, 0.5193, 0.6246, 0.577, 0.5163),
    5: (0.5712, 0.3121, 0.5868, 0.5718, 0.3122, 0.5859),
    8: (0.6892, 0.3282, 0.195, 0.7078, 0.3338, 0.19),
    HELD_OUT: (0.5736, 0.3958, 0.2664, 0.5715, 0.3957, 0.2693),
}


def hard_scenes(count: int = 60) -> list[Scene]:
    return [sample_scene(HELD_OUT + i, hard=True) for i in range(count)]


@pytest.mark.parametrize("seed", SCENES)
def test_a_seed_draws_the_same_scene_for_ever(seed):
    means = render(sample_scene(seed), 32, slice(0, None, 7)).mean(dim=(2, 3)).flatten()
    assert torch.allclose(means, torch.tensor(SCENES[seed]), atol=2e-4)


def test_what_is_hard_is_neutral_until_asked_for():
    scene = sample_scene(3)
    assert scene.shadow == 0 and scene.light is None
    lit = Scene(scene.sprites, scene.camera, scene.background, scene.colours, scene.seed, light=torch.ones(8, 3))
    assert torch.equal(render(lit, 32), render(scene, 32))


def test_the_hard_set_holds_what_it_says():
    scenes = hard_scenes()
    assert all(any(s.shape == "cutout" and s.texture in CUTOUTS for s in scene.sprites) for scene in scenes)
    covering = 0
    for scene in scenes:
        names = [s.texture for s in scene.sprites if s.shape == "cutout"]
        assert len(set(names)) == len(names)
        boxes = true_boxes(scene, 1)
        assert ((boxes[:, 0, :2] + boxes[:, 0, 2:]) / 2 - 0.5).abs().max() < 0.45  # all begin in the picture
        if len(boxes) == 2:
            gap = ((boxes[0] - boxes[1])[:, :2] + (boxes[0] - boxes[1])[:, 2:]).norm(dim=-1) / 2
            reach = sum(s.radius for s in scene.sprites)
            covering += (gap[0] > 0.9 * reach * scene.camera[0, 2] and gap.min() < 0.3 * reach).item()
    assert covering > 0.5 * len(scenes)
    assert sum(scene.shadow > 0 for scene in scenes) > 0.5 * len(scenes)
    assert sum(scene.light is not None for scene in scenes) > 0.5 * len(scenes)
    assert len({s.texture for scene in scenes for s in scene.sprites if s.shape == "cutout"}) == len(CUTOUTS)


def test_a_hard_seed_is_a_scene_of_its_own():
    for seed in (HELD_OUT, HELD_OUT + 1):
        film = render(sample_scene(seed, hard=True), 32)
        assert torch.equal(film, render(sample_scene(seed, hard=True), 32))
        assert not torch.allclose(film, render(sample_scene(seed), 32), atol=0.05)
        assert torch.equal(film[2:4], render(sample_scene(seed, hard=True), 32, slice(2, 4)))
    with pytest.raises(InputError, match="simple=True and hard=True"):
        sample_scene(1, simple=True, hard=True)


def test_a_moving_camera_can_be_asked_for():
    often, always = (
        [(sample_scene(seed, moving=moving).camera.diff(dim=0) != 0).any().item() for seed in range(100)]
        for moving in (False, True)
    )
    assert all(always) and 0.2 < sum(often) / len(often) < 0.55
    with pytest.raises(InputError, match="simple=True and moving=True"):
        sample_scene(1, simple=True, moving=True)


@pytest.mark.parametrize("name", CUTOUTS)
def test_a_cut_out_fills_the_unit_circle_and_shows_its_photograph(name):
    axis = (torch.arange(96) + 0.5) / 48 - 1
    p = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    distance = cutout_distance(name, p)
    inside = p[distance < 0]
    assert 0.85 < inside.norm(dim=-1).max() < 1.03
    assert 0.1 < (distance < 0).float().mean() < 0.8
    # it is a distance: neighbours differ by at most as much as they are apart, and mostly by about that
    slope = distance.diff(dim=-1).abs() * 48
    assert slope.max() < 1.15
    # in the colours of its photograph, whatever the size
    few, many = cutout_colours(name, 16), cutout_colours(name, 64)
    assert CUTOUTS[name] in PHOTOGRAPHS
    assert torch.allclose(few.mean(dim=(2, 3)), many.mean(dim=(2, 3)), atol=0.02)
    sprite = Sprite("cutout", name, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.25, torch.full((1, 2), 0.5))
    drawn = render(Scene((sprite,), still(1), colours=((0.0, 1.0, 0.0),) * 3), 64)[0]
    assert torch.allclose(drawn[:, 2, 2], torch.tensor([0.0, 1.0, 0.0]), atol=1e-5)
    core = cutout_distance(name, p[1::3, 1::3]) < -0.1  # 32 pixels across the circle; well inside
    assert core.any()
    assert torch.allclose(drawn[:, 16:48, 16:48][:, core], cutout_colours(name, 32)[0][:, core], atol=1e-4)


@pytest.mark.parametrize("of", [cutout_distance, lambda name, _: cutout_colours(name, 8)])
def test_unknown_cut_outs_are_named(of):
    with pytest.raises(ValueError, match=r"'dog'.*cat"):
        of("dog", torch.zeros(1, 2))


def test_a_shadow_falls_beside_the_sprite_and_only_darkens():
    sprite = Sprite("circle", "plain", (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0.2, torch.full((1, 2), 0.5))
    bare = Scene((sprite,), still(1), colours=((0.6, 0.5, 0.4),) * 3)
    shaded = Scene((sprite,), still(1), colours=((0.6, 0.5, 0.4),) * 3, shadow=0.5)
    darker = (render(bare, 64) - render(shaded, 64))[0]
    assert darker.min() > -1e-5
    rows, columns = (darker.sum(0) > 0.05).nonzero().unbind(1)
    assert rows.float().mean() > 32 and columns.float().mean() > 32  # below, and to the right
    assert darker[:, 32, 32].abs().max() < 1e-5  # the sprite lies above its own shadow
    assert darker.max() < 0.5 * 0.6 + 1e-5


def test_the_upper_sprite_hides_the_lower():
    lower, upper = (
        Sprite("circle", "plain", colour, colour, 0.2, torch.tensor([[x, 0.5]]))
        for colour, x in (((1.0, 0.0, 0.0), 0.4), ((0.0, 0.0, 1.0), 0.6))
    )
    drawn = render(Scene((lower, upper), still(1), shadow=0.5), 64)[0]
    assert torch.allclose(drawn[:, 32, 32], torch.tensor([0.0, 0.0, 1.0]), atol=1e-5)  # blue, where both are


def test_light_multiplies_each_frame():
    light = torch.tensor([[1.0, 1.0, 1.0], [0.5, 0.6, 0.7]])
    film = render(Scene((), still(2), colours=((0.8, 0.8, 0.8),) * 3, light=light), 16)
    assert torch.allclose(film[1].mean(dim=(1, 2)), 0.8 * light[1], atol=1e-5)
    assert torch.equal(
        film[1:], render(Scene((), still(2), colours=((0.8, 0.8, 0.8),) * 3, light=light), 16, slice(1, 2))
    )
