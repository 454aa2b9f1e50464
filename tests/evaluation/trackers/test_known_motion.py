"""Clips of known motion, and what validation says of trackers whose errors are known."""

import pytest
import torch

from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import true_boxes
from tests.helpers.known_motion import imposed_clip
from tests.helpers.tracker_errors import validate_tracker

FIRST = 10_000_000
SINGLE = next(s for s in range(FIRST, FIRST + 50) if len(sample_scene(s).sprites) == 1)


def still(video, points):
    """A tracker that believes that nothing moves, and that everything can be seen."""
    seen = torch.ones(len(points), len(video), dtype=torch.bool)
    return Tracks(points[:, None].repeat(1, len(video), 1), seen, "still")


@pytest.mark.parametrize("seed", [FIRST, FIRST + 1, FIRST + 2])
def test_imposed_points_show_what_they_showed_at_first(seed):
    known = imposed_clip(seed)
    at = known.points.transpose(0, 1)[:, None] / 64 - 1  # (frames, 1, points, xy) in -1..1
    colors = torch.nn.functional.grid_sample(known.video, at, align_corners=False)[:, :, 0]  # frames, rgb, points
    change = (colors - colors[:1]).abs().amax(dim=1).T  # points, frames
    rim = ((known.points < 2) | (known.points > 126)).any(dim=-1)
    assert known.visible[:, 0].all()
    assert change[known.visible & ~rim].median() < 0.02
    assert change[known.visible & ~rim].quantile(0.95) < 0.15


def test_some_points_leave_and_some_are_covered():
    plain, covered = imposed_clip(FIRST + 1), imposed_clip(FIRST)
    inside = lambda known: ((known.points > 0) & (known.points < 128)).all(dim=-1)  # noqa: E731
    assert torch.equal(plain.visible, inside(plain))
    assert not inside(plain).all()
    assert (inside(covered) & ~covered.visible).any()
    assert torch.equal(imposed_clip(FIRST).video, covered.video)


def test_a_tracker_that_stands_still_errs_by_the_motion():
    boxes = true_boxes(sample_scene(SINGLE), 64)
    centres = ((boxes[..., :2] + boxes[..., 2:]) / 2)[0]
    away = (centres - centres[0]).norm(dim=-1)[1:]
    there = ((centres > 0) & (centres < 64)).all(dim=-1)[1:]
    found = validate_tracker(still, [SINGLE], 64)
    assert (found["tracker"], found["objects"], found["positions"]) == ("still", 1, there.sum())
    assert found["mean"] == pytest.approx(away[there].mean().item(), abs=1e-3)
    assert found["p95"] == pytest.approx(away[there].quantile(0.95).item(), abs=1e-3)
    assert (found["precision"], found["recall"]) == (pytest.approx(there.float().mean().item(), abs=1e-3), 1)


def test_the_default_is_accurate():
    found = validate_tracker(None, range(FIRST, FIRST + 12), 64)
    assert found["tracker"] == "ncc" and found["objects"] >= 8
    assert found["median"] < 0.5 and found["mean"] < 1.5
    assert found["precision"] > 0.9 and found["recall"] > 0.9
