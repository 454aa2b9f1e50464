from copy import deepcopy
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.training import clip_network
from sgi2v_lab.toy.training.clip_network import (
    FEATURES,
    HARMS,
    WEIGHTS,
    ClipNetwork,
    harm,
    load_clip_network,
    scene_truth,
    to_network_pixels,
    train,
)
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import SHAPES, Scene, Sprite, render, true_boxes

pytestmark = pytest.mark.slow

SCENES = [sample_scene(seed) for seed in range(HELD_OUT, HELD_OUT + 96)]


@pytest.fixture(scope="module")
def answers():
    """What the bundled network says of scenes that it never saw."""
    clips = torch.stack([render(scene, 64) for scene in SCENES])
    with torch.no_grad():
        return load_clip_network()(clips)


def truths(name):
    return torch.stack([scene_truth(scene)[name] for scene in SCENES])


def sprite(path, **more):
    look = {"shape": "star", "texture": "plain", "colour": (0.9, 0.1, 0.2), "accent": (0.0, 0.0, 1.0), "radius": 0.15}
    return Sprite(**{**look, **more}, path=torch.as_tensor(path))


def camera(frames=4, shift=(0.0, 0.0), zoom=1.0):
    t = torch.linspace(0, 1, frames)[:, None]
    return torch.cat([t * torch.tensor(shift), zoom**t], dim=1)


# --- the truth it learns ---------------------------------------------------------------------------------------------


def test_sprites_are_named_from_left_to_right_at_the_start():
    right = sprite([[0.7, 0.5], [0.1, 0.6]], shape="pill", texture="striped")
    left = sprite([[0.3, 0.2], [0.9, 0.2]])
    truth = scene_truth(Scene((right, left), camera(2)))
    assert (truth["count"], truth["left_shape"], truth["right_shape"]) == (
        2,
        SHAPES.index("star"),
        SHAPES.index("pill"),
    )
    assert truth["left_move"].tolist() == pytest.approx([0.6, 0.0], abs=1e-6)
    assert truth["right_move"].tolist() == pytest.approx([-0.6, 0.1], abs=1e-6)
    assert truth["left_colour"].tolist() == pytest.approx([0.9, 0.1, 0.2])
    assert truth["right_colour"].tolist() == pytest.approx([0.45, 0.05, 0.6])  # half of it shows the other colour


def test_nothing_is_said_of_what_is_not_there_or_cannot_be_seen():
    truth = scene_truth(Scene((sprite([[0.3, 0.2], [0.9, 0.2]], texture="photo"),), camera(2, (0.3, 0.0))))
    assert truth["count"] == 1 and truth["right_shape"] == truth["right_texture"] == -1
    for unseen in ("right_move", "right_start", "left_colour", "camera"):  # a plain background shows no camera
        assert truth[unseen].isnan().all()
    empty = scene_truth(Scene((), camera(2)))
    assert empty["count"] == 0 and empty["left_move"].isnan().all()


@given(*[st.floats(-0.4, 0.4)] * 2, st.floats(0.7, 1.4), st.booleans())
def test_the_camera_is_where_what_was_in_the_middle_goes(x, y, zoom, back):
    seen = camera(4, (x, y), zoom)
    middle = torch.tensor([0.5, 0.5]) + (seen[-1, :2] if back else 0)
    scene = Scene((sprite(middle.expand(4, 2), shape="circle"),), seen, background="clouds")
    boxes = true_boxes(scene, 1)[0, [-1, 0] if back else [0, -1]]
    start, end = (boxes[:, :2] + boxes[:, 2:]) / 2
    larger = (boxes[1, 2] - boxes[1, 0]) / (boxes[0, 2] - boxes[0, 0])
    truth = scene_truth(scene, back=back)
    assert torch.allclose(start, torch.tensor([0.5, 0.5]), atol=1e-5)
    assert torch.allclose(truth["camera"], torch.cat([end - start, larger.log()[None]]), atol=1e-5)
    assert torch.allclose(truth["left_move"], end - start, atol=1e-5)


@pytest.mark.parametrize("varied", ["mirror", "flip", "transpose", "back"])
def test_a_varied_clip_is_told_what_a_varied_scene_would_be(varied):
    path = torch.tensor([[0.3, 0.2], [0.6, 0.4], [0.7, 0.8]])
    seen = camera(3, (0.2, -0.1))
    change = {
        "mirror": lambda p: p * torch.tensor([-1.0, 1.0]),
        "flip": lambda p: p * torch.tensor([1.0, -1.0]),
        "transpose": lambda p: p.flip(-1),
        "back": lambda p: p.flip(0),
    }[varied]
    other = torch.cat([change(seen[:, :2]), seen[:, 2:]], dim=1)
    if varied == "back":  # its world is the same, but the camera counts from where it starts
        moved, other = path.flip(0) - seen[-1, :2], other - torch.cat([seen[-1, :2], torch.zeros(1)])
    else:
        moved = change(path - 0.5) + 0.5
    # a circle looks the same in the mirror
    asked = scene_truth(Scene((sprite(path, shape="circle"),), seen, background="clouds"), **{varied: True})
    expected = scene_truth(Scene((sprite(moved, shape="circle"),), other, background="clouds"))
    for name, value in expected.items():
        assert torch.allclose(asked[name], value, atol=1e-5, equal_nan=True), name


# --- harm ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HARMS)
def test_more_harm_is_farther_from_the_clip(kind):
    clip = render(SCENES[1], 32)
    assert torch.equal(harm(clip, kind, 0), clip)
    spoilt = [harm(clip, kind, s, torch.Generator().manual_seed(0)) for s in (0.2, 0.5, 1.0)]
    errors = [(clip - other).square().mean().item() for other in spoilt]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert all(other.min() >= 0 and other.max() <= 1.0001 and other.shape == clip.shape for other in spoilt)


def test_smear_leaves_still_things_and_the_first_frame_alone():
    clip = render(SCENES[1], 32)
    assert torch.equal(harm(clip, "smear", 0.7)[0], clip[0])
    still = clip[:1].expand(5, -1, -1, -1)
    assert torch.allclose(harm(still, "smear", 1.0), still)


@pytest.mark.parametrize(("kind", "strength"), [("rain", 0.5), ("blur", 1.5), ("noise", -0.1), ("blur", float("nan"))])
def test_bad_harm_is_refused(kind, strength):
    with pytest.raises(InputError, match="blur, noise, flicker, smear"):
        harm(torch.zeros(2, 3, 8, 8), kind, strength)


# --- the network -----------------------------------------------------------------------------------------------------


def test_any_clip_is_brought_to_what_the_network_sees():
    clip = torch.rand(14, 3, 128, 96)
    seen = to_network_pixels(clip)
    assert seen.shape == (8, 3, 64, 64)
    assert torch.equal(seen[[0, -1]], to_network_pixels(clip[[0, -1]])[[0, -1]])  # both ends are looked at
    small = torch.rand(8, 3, 64, 64)
    assert torch.equal(to_network_pixels(small), small)


def test_bundled_weights_are_small_and_load_once():
    assert WEIGHTS.stat().st_size <= 1_000_000
    network = load_clip_network()
    assert network is load_clip_network()
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_features_are_white_where_they_were_whitened():
    network = load_clip_network()
    clips = torch.stack([render(scene, 64) for scene in SCENES[:80]])
    with torch.no_grad():
        before = network.raw_features(clips)
        again = deepcopy(network)
        again.whiten(clips)
        after = again.features(clips)
    assert torch.allclose(after.mean(0), torch.zeros(FEATURES), atol=1e-3)
    assert torch.allclose(after.T.cov(), torch.eye(FEATURES), atol=0.02)
    assert not torch.allclose(before.T.corrcoef(), torch.eye(FEATURES), atol=0.5)  # which they were not by themselves


def test_missing_weights_are_said_to_be_missing(tmp_path):
    with pytest.raises(InputError, match="train it"):
        load_clip_network(tmp_path / "none.safetensors")


@pytest.mark.parametrize("what", ["count", "background"])
def test_it_counts_and_tells_the_ground(answers, what):
    true = truths(what)
    most_common = true.bincount().max().item() / len(true)
    assert (answers[what].argmax(-1) == true).float().mean().item() > 1.15 * most_common


@pytest.mark.parametrize(("what", "share"), [("left_start", 0.6), ("left_move", 0.6), ("left_colour", 0.9)])
def test_it_measures_better_than_a_guess(answers, what, share):
    true = truths(what)
    known = true.isfinite().all(-1)
    assert known.sum() > 30
    guess = (true[known] - true[known].mean(0)).square().mean()
    assert (answers[what][known] - true[known]).square().mean() < share * guess


# --- training --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_training(monkeypatch):
    """Batches of 4, and 8 scenes to whiten the features; gives the list of scene seeds that are drawn."""
    drawn = []

    def spy(seed, *args, **kwargs):
        drawn.append(seed)
        return sample_scene(seed, *args, **kwargs)

    monkeypatch.setattr(clip_network, "_BATCH", 4)
    monkeypatch.setattr(clip_network, "_KEPT", 8)
    monkeypatch.setattr(clip_network, "sample_scene", spy)
    return drawn


def test_training_repeats_itself_and_never_sees_an_exam(tmp_path, small_training):
    one = train(tmp_path / "one.safetensors", steps=3, seed=5)
    two = train(tmp_path / "two.safetensors", steps=3, seed=5)
    other = train(tmp_path / "other.safetensors", steps=3, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert not torch.equal(one.bottleneck[0].weight, other.bottleneck[0].weight)
    assert max(small_training) < HELD_OUT
    assert sum(seed >= HELD_OUT - 8 for seed in small_training) == 3 * 8  # they whiten, and are not trained on


def test_training_writes_what_loads(tmp_path, small_training):
    out = tmp_path / "new" / "network.safetensors"
    trained = train(out, steps=2)
    clips = torch.stack([to_network_pixels(render(scene, 64)) for scene in SCENES[:4]])
    with torch.no_grad():
        loaded = load_clip_network(out).features(clips)
        assert torch.allclose(loaded, trained.features(clips), rtol=1e-3, atol=1e-3)  # it is given back as written
    assert loaded.shape == (4, FEATURES)
    assert [path.name for path in out.parent.iterdir()] == ["network.safetensors"]
    with safe_open(out, "pt") as file:
        assert file.metadata() == {"steps": "2", "batch": "4", "seed": "0"}


def test_the_loss_falls_on_clips_it_is_shown_again():
    torch.manual_seed(0)
    clips = torch.stack([render(scene, 64) for scene in SCENES[:8]])
    truth = {name: torch.stack([scene_truth(s)[name] for s in SCENES[:8]]) for name in scene_truth(SCENES[0])}
    network = ClipNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = clip_network._loss(network(clips), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_training_takes_a_step(tmp_path):
    with pytest.raises(InputError, match="expected at least 1"):
        train(tmp_path / "network.safetensors", steps=0)
    assert list(Path(tmp_path).iterdir()) == []
