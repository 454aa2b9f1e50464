"""Clips of known motion, and what is said of trackers on them; the trackers here err in ways that are known."""

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.known_motion import imposed_clip, shaken
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.evaluation.trackers.validation import (
    validate_on_clip,
    validate_tracker,
    validation_table,
)
from sgi2v_lab.video import read_video
from tests.helpers.real_clips import real_video

FIRST = 10_000_000


def still(video, points):
    """A tracker that believes that nothing moves, and that everything can be seen."""
    seen = torch.ones(len(points), len(video), dtype=torch.bool)
    return Tracks(points[:, None].repeat(1, len(video), 1), seen, "still")


def knowing(seed, off=0.0, seen=None):
    """A tracker that knows an imposed clip; its places are off by so much, and it may see what it likes."""
    known = imposed_clip(seed)
    visible = known.visible if seen is None else torch.full_like(known.visible, seen)
    return lambda video, points: Tracks(known.points + off / 2**0.5, visible, "knowing")


# --- the clips -------------------------------------------------------------------------------------------------------


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


def test_shaken_windows_differ_by_the_shift():
    video = imposed_clip(FIRST + 1, size=160).video
    calm, moved, shift = shaken(video, seed=1, size=128)
    assert shift[0].tolist() == [0, 0] and shift.abs().max() > 3
    assert calm.shape == moved.shape == (8, 3, 128, 128)
    assert torch.equal(calm[0], moved[0])
    exact, (dx, dy) = shaken(video, seed=1, size=128)[0], shift[-1]
    left, top = round(dx.item()), round(dy.item())
    inner = slice(40, 88)
    there = moved[-1][:, 40 + top : 88 + top, 40 + left : 88 + left]
    assert (there - exact[-1][:, inner, inner]).abs().mean() < 0.05  # to a pixel
    with pytest.raises(InputError, match="160x160 px, which leaves no room to shift a window of 160"):
        shaken(video, seed=1, size=160)


# --- the figures -----------------------------------------------------------------------------------------------------


def test_a_tracker_that_knows_makes_no_error():
    figures = validate_tracker(knowing(FIRST), [FIRST], kinds=["points"])["points"]
    assert (figures["median"], figures["mean"], figures["p95"]) == (0, 0, 0)
    assert (figures["precision"], figures["recall"]) == (1, 1)
    assert figures["positions"] == imposed_clip(FIRST).visible[:, 1:].sum()


def test_errors_and_visibility_are_told_apart():
    truly = imposed_clip(FIRST).visible[:, 1:].float().mean().item()
    eager = validate_tracker(knowing(FIRST, off=3, seen=True), [FIRST], kinds=["points"])["points"]
    assert (eager["median"], eager["mean"], eager["p95"]) == pytest.approx((3, 3, 3))
    assert eager["precision"] == pytest.approx(truly, abs=1e-3)
    assert (eager["recall"], eager["visible"]) == (1, 1)
    shy = validate_tracker(knowing(FIRST, off=3, seen=False), [FIRST], kinds=["points"])["points"]
    assert shy["mean"] == pytest.approx(3)  # what it lost counts where it can be seen ...
    assert shy["mean_seen"] is None  # ... and here not
    assert (shy["precision"], shy["recall"], shy["visible"]) == (None, 0, 0)


def test_a_tracker_that_stands_still_errs_by_the_motion():
    known = imposed_clip(FIRST + 1)
    path = (known.points - known.points[:, :1]).norm(dim=-1)[:, 1:][known.visible[:, 1:]]
    figures = validate_tracker(still, [FIRST + 1], kinds=["points"])["points"]
    assert figures["mean"] == pytest.approx(path.mean().item(), abs=1e-3)
    assert figures["p95"] == pytest.approx(path.quantile(0.95).item(), abs=1e-3)


@pytest.mark.parametrize("tracker", ["lk", "dis"])
def test_the_trackers_follow_points_in_photographs(tracker):
    figures = validate_tracker(tracker, range(FIRST, FIRST + 6), kinds=["points"])["points"]
    assert figures["median"] < 0.5
    assert figures["mean_seen"] < 1
    assert figures["precision"] > 0.95
    assert figures["recall"] > 0.5


def test_on_a_clip_of_ones_own_only_the_shaking_counts():
    video = imposed_clip(FIRST + 1, size=160).video  # it moves by itself, which nobody need know
    figures = validate_on_clip("lk", video, size=112)["clip"]
    assert figures["median"] < 0.3
    assert figures["recall"] > 0.5
    shift = shaken(video, 0, 112)[2]
    assert validate_on_clip(still, video, size=112)["clip"]["mean"] == pytest.approx(
        shift[1:].norm(dim=-1).mean().item(), rel=0.1
    )


def test_the_table_has_a_line_for_each_kind():
    reports = [
        validate_tracker(still, [FIRST], kinds=["photographs", "points"]),
        validate_on_clip(still, imposed_clip(FIRST + 1, size=96).video, size=64),
    ]
    lines = validation_table(reports).splitlines()
    assert [line.split(" | ")[2] for line in lines[2:]] == ["photographs", "points", "clip"]
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| still | 128x128 | photographs | 7 | ")
    assert lines[4].split(" | ")[8] == "–"  # what is truly seen is not known there


def test_unknown_kinds_are_named():
    with pytest.raises(InputError, match="no 'videos' clips; choose some of uncovered, all"):
        validate_tracker(None, [FIRST], kinds=["videos"])


@pytest.mark.parametrize("tracker", ["lk", "dis"])
def test_tracks_in_a_real_video_shift_as_the_picture_does(tracker):
    clip = read_video(real_video("carphone_pristine"), max_frames=8)
    figures = validate_on_clip(tracker, clip, size=112)["clip"]
    assert figures["median"] < 0.5
    assert figures["positions"] > 100
    assert figures["recall"] > 0.5
