from dataclasses import replace

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.track import TRACKERS, dis, get_tracker, lk, ncc, track_boxes
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.toy.world.scenes import COLOURS, Scene, Sprite, render, true_boxes
from tests.helpers.known_motion import imposed_clip, photograph_clip

FIRST = 10_000_000


def _scene(step: float = 10 / 128, texture: str = "plain", frames: int = 8, shape: str = "circle") -> Scene:
    x = 0.2 + step * torch.arange(frames)
    path = torch.stack([x, 0.5 + 0.05 * torch.arange(frames) / frames], dim=-1)
    sprite = Sprite(shape, texture, COLOURS["red"], COLOURS["white"], 0.15, path)
    camera = torch.tensor([0.0, 0.0, 1.0]).repeat(frames, 1)
    return Scene((sprite,), camera, "clouds", tuple(COLOURS[c] for c in ("blue", "cyan", "grey")), seed=3)


def _centers(boxes):
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _errors(scene, tracker=None):
    boxes = true_boxes(scene, 128)
    tracks = track_boxes(render(scene, 128), boxes[:, 0], tracker)
    return (tracks.points - _centers(boxes)).norm(dim=-1), tracks


@pytest.mark.parametrize("tracker", ["ncc", "lk"])
@pytest.mark.parametrize("shape", ["circle", "ring", "star"])
def test_a_plain_sprite_is_followed_at_ten_pixels_per_frame(tracker, shape):
    error, tracks = _errors(_scene(shape=shape), tracker)
    assert error.max() < 1.5
    assert tracks.visible.all()
    assert tracks.tracker == tracker


@pytest.mark.parametrize("track", [lk, dis, ncc])
def test_points_follow_a_pan(track):
    video, boxes = photograph_clip(FIRST + 1)  # odd: the whole photograph moves
    move = _centers(boxes)[0] - _centers(boxes)[0, 0]
    points = _centers(boxes)[0, :1] + torch.tensor([[0.0, 0.0], [6.0, -4.0], [-5.0, 5.0]])
    tracks = track(video, points)
    assert tracks.points.shape == (3, 8, 2)
    assert torch.equal(tracks.points[:, 0], points) or (tracks.points[:, 0] - points).abs().max() < 1e-4
    error = (tracks.points - points[:, None] - move).norm(dim=-1)
    assert error.median() < 1


@pytest.mark.parametrize("track", [lk, dis])
def test_points_in_photographs_are_followed_or_given_up(track):
    clips = [imposed_clip(FIRST + k) for k in range(6)]
    tracks = [track(known.video, known.points[:, 0]) for known in clips]
    pairs = list(zip(tracks, clips, strict=True))
    error = torch.cat([(found.points - known.points).norm(dim=-1)[:, 1:] for found, known in pairs])
    seen, there = torch.cat([t.visible[:, 1:] for t in tracks]), torch.cat([known.visible[:, 1:] for known in clips])
    assert error[there].median() < 0.5
    assert error[there & seen].mean() < 1
    assert (there & seen).sum() > 0.95 * seen.sum()
    assert (there & seen).sum() > 0.5 * there.sum()


def test_a_vanished_object_stays_at_its_last_known_place():
    scene = _scene(texture="checked")
    gone = scene.sprites[0].path.clone()
    gone[4:] += 5
    video = render(replace(scene, sprites=(replace(scene.sprites[0], path=gone),)), 128)
    tracks = track_boxes(video, true_boxes(scene, 128)[:, 0])
    assert tracks.visible[0].tolist() == [True] * 4 + [False] * 4
    assert (tracks.points[0, 4:] == tracks.points[0, 3]).all()


def test_a_smeared_object_is_still_followed():
    scene = _scene(texture="striped", step=6 / 128)
    video = render(scene, 128)
    smeared = torch.stack([video[max(0, f - 1) : f + 1].mean(dim=0) for f in range(len(video))])
    smeared = 0.85 * smeared + 0.1 + 0.02 * torch.randn(smeared.shape, generator=torch.Generator().manual_seed(0))
    tracks = track_boxes(smeared.clamp(0, 1), true_boxes(scene, 128)[:, 0])
    error = (tracks.points - _centers(true_boxes(scene, 128))).norm(dim=-1)
    assert error.mean() < 4  # the mean of two frames is itself 3 px behind
    assert tracks.visible.all()


@pytest.mark.parametrize("tracker", ["ncc", "lk", "dis"])
def test_a_still_video_keeps_everything_in_place(tracker):
    scene = _scene()
    still = render(scene, 128)[:1].repeat(8, 1, 1, 1)
    tracks = track_boxes(still, true_boxes(scene, 128)[:, 0], tracker)
    assert (tracks.points - tracks.points[:, :1]).abs().max() < 0.25


def test_large_videos_are_tracked_at_their_own_scale():
    scene = _scene()
    boxes = true_boxes(scene, 512)
    tracks = track_boxes(render(scene, 512), boxes[:, 0])
    assert (tracks.points - _centers(boxes)).norm(dim=-1).max() < 3


def test_any_callable_can_be_the_tracker():
    def keep(video, points):
        return Tracks(
            points[:, None].repeat(1, len(video), 1), torch.ones(len(points), len(video), dtype=torch.bool), "keep"
        )

    scene = _scene()
    boxes = true_boxes(scene, 128)
    tracks = track_boxes(render(scene, 128), boxes[:, 0], keep)
    assert tracks.tracker == "keep"
    assert torch.allclose(tracks.points, _centers(boxes)[:, :1].expand_as(tracks.points), atol=1e-3)


def test_every_tracker_names_its_licence():
    assert "not for commercial use" in TRACKERS["cotracker3"].licence
    assert TRACKERS["tapnext"].licence.startswith("Apache-2.0")
    assert all(tracker.licence and get_tracker(name) is tracker.follow for name, tracker in TRACKERS.items())


def test_bad_input_is_named():
    video = render(_scene(), 128)
    with pytest.raises(InputError, match=r"'kcf'.*ncc, lk, dis"):
        get_tracker("kcf")
    with pytest.raises(InputError, match=r"box 0 .*128x128"):
        track_boxes(video, torch.tensor([[200.0, 10.0, 220.0, 30.0]]))
