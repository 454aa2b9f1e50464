"""Background drift, BG-Obj CTD and box overlap, where the truth is known."""

from statistics import fmean

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.drift import background_drift, bg_obj_ctd, camera_motion
from sgi2v_lab.evaluation.metrics.measured import MeasuredVideo
from sgi2v_lab.evaluation.metrics.trajectory_error import box_iou, box_overlap
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.camera import camera_pan, camera_zoom
from tests.helpers.known_motion import imposed_clip, photograph_clip
from tests.helpers.known_tracks import KnownTracks

SEED = 10_000_000
SIZE = (128, 128)


@pytest.fixture(scope="module")
def moved_piece():
    """A piece of a photograph that moves over another one, which stays; and its boxes."""
    return photograph_clip(SEED)


@pytest.fixture(scope="module")
def wandering():
    """A photograph that shifts as a whole, covered by nothing, and how far, (frames, 2)."""
    known = imposed_clip(SEED + 1)
    return known.video, (known.points - known.points[:, :1])[0]


def zoomed(picture, factors):
    """The picture enlarged about its middle."""
    grids = [F.affine_grid(torch.eye(2, 3)[None] / f, (1, 3, 128, 128), align_corners=False) for f in factors]
    return torch.cat([F.grid_sample(picture[None], grid, align_corners=False) for grid in grids])


def drift(video, boxes=None, **known):
    return background_drift(MeasuredVideo(video, boxes=boxes, **known))


# --- drift -----------------------------------------------------------------------------------------------------------


def test_a_background_that_stays_has_not_drifted(moved_piece):
    value, details = drift(*moved_piece)
    assert value < 0.1
    assert details["seen"] > 0.7
    assert (details["tracker"], details["camera"]) == ("lk", False)
    assert details["points"] < 256  # not those under the boxes


@pytest.mark.parametrize("tracker", ["lk", "dis"])
def test_a_camera_that_nobody_asked_for_is_drift(wandering, tracker):
    video, shift = wandering
    expected = shift[1:].norm(dim=-1).mean().item()
    assert expected > 5
    assert drift(video, tracker=tracker)[0] == pytest.approx(expected, abs=1)


def test_no_object_at_all_leaves_the_whole_picture(wandering):
    video, _ = wandering
    assert drift(video, torch.zeros(0, len(video), 4)) == drift(video)
    assert drift(video)[1]["points"] == 256


def test_a_camera_that_was_asked_for_is_none(wandering):
    video, shift = wandering
    start = torch.tensor([[20.0, 20.0, 40.0, 40.0], [80.0, 70.0, 110.0, 90.0]])
    camera = start[:, None] + shift.repeat(1, 2)
    value, details = drift(video, camera=camera)
    assert value < 0.5
    assert details["camera"]
    off = camera + torch.arange(8.0)[None, :, None]  # asked to go elsewhere by one pixel a frame, along both axes
    assert drift(video, camera=off)[0] == pytest.approx(2**0.5 * 4, abs=1)


def test_a_zoom_that_was_asked_for_is_none(moved_piece):
    factors = torch.linspace(1, 1.4, 8)
    video = zoomed(moved_piece[0][0], factors)
    camera = Trajectories(SIZE, camera_zoom(SIZE, 1.4)).boxes(8)
    assert drift(video)[0] > 5
    assert drift(video, camera=camera)[0] < 0.6


def test_the_objects_do_not_count_whoever_names_them(moved_piece):
    video, boxes = moved_piece
    assert drift(video)[0] > drift(video, boxes)[0] + 0.5
    assert drift(video, boxes[:, :, [0, 1, 0, 1]] * 0 - 9, objects=boxes) == drift(video, boxes)


def test_an_object_over_a_plain_background_is_not_taken_for_it():
    scene = next(s for s in benchmark_scenes(("single",)) if s.scene(8).background == "plain")
    boxes = scene.asked((64, 64), 8).boxes(8)
    with pytest.raises(InputError, match="could follow none"):
        drift(scene.clip((64, 64), 8), boxes)


@pytest.mark.parametrize("moves", [camera_pan(SIZE, by=(30, -12)), camera_zoom(SIZE, 0.7)])
def test_the_cameras_motion_is_that_of_its_boxes(moves):
    boxes = Trajectories(SIZE, moves).boxes(8)
    centers = (boxes[..., :2] + boxes[..., 2:]) / 2
    assert torch.allclose(camera_motion(boxes, centers[:, 0]), centers, atol=1e-3)


def test_where_there_is_no_background_there_is_no_drift(moved_piece):
    video, boxes = moved_piece
    with pytest.raises(InputError, match="cover the whole picture"):
        drift(video, torch.tensor([0.0, 0, 128, 128]).expand(1, 8, 4))
    with pytest.raises(InputError, match="too plain"):
        drift(torch.full((8, 3, 64, 64), 0.5))
    with pytest.raises(InputError, match="one frame"):
        drift(video[:1])
    with pytest.raises(InputError, match="8 frames but the video has 3"):
        drift(video[:3], boxes)


# --- background against object ---------------------------------------------------------------------------------------

WENT = torch.tensor([(0.0, 0.0), (3, 4), (6, 8), (9, 12)])  # 0, 5, 10 and 15 px from the start
BOX = (4.0, 4.0, 20.0, 20.0)
BLACK = torch.zeros(4, 3, 64, 64)
ASKED = torch.tensor([BOX])[:, None] + WENT.repeat(1, 2)


def against(rest=None, boxes=ASKED, **known):
    return bg_obj_ctd(MeasuredVideo(BLACK, boxes=boxes, tracker=KnownTracks(BOX, WENT, rest), **known))[0]


def test_a_glued_background_scores_zero_and_a_still_one_the_mean_path_length():
    assert against(WENT) == pytest.approx(0, abs=1e-3)
    assert against() == pytest.approx((5 + 10 + 15) / 3, abs=1e-3)
    assert against(WENT / 2) == pytest.approx(5, abs=1e-3)
    assert against(-WENT) == pytest.approx(20, abs=1e-3)


def test_objects_that_should_stay_do_not_count():
    pinned = torch.tensor([40.0, 40.0, 56.0, 56.0]).expand(1, 4, 4)
    assert against(boxes=torch.cat([ASKED, pinned])) == pytest.approx(10, abs=1e-3)
    with pytest.raises(InputError, match="no box is asked to move"):
        against(boxes=pinned)


def test_where_the_camera_moves_the_background_may():
    with pytest.raises(InputError, match="camera was asked to move"):
        against(camera=ASKED)


def test_true_clips_score_their_path_length(moved_piece):
    video, boxes = moved_piece
    centers = ((boxes[..., :2] + boxes[..., 2:]) / 2)[0]
    length = (centers - centers[0]).norm(dim=-1)[1:].mean().item()
    assert bg_obj_ctd(MeasuredVideo(video, boxes=boxes))[0] == pytest.approx(length, rel=0.03)


# --- overlap ---------------------------------------------------------------------------------------------------------


def test_iou_follows_its_definition():
    a = torch.tensor([[0.0, 0, 2, 2]]).expand(4, 4)
    b = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 4, 4]])
    assert box_iou(a, b).tolist() == pytest.approx([1, 1 / 3, 0, 1 / 4])
    assert torch.equal(box_iou(a, b), box_iou(b, a))


def overlap(video, boxes, tracker=None):
    return box_overlap(MeasuredVideo(video, boxes=boxes, tracker=tracker))


def test_the_true_clip_fills_its_boxes(moved_piece):
    value, details = overlap(*moved_piece)
    assert value > 0.95
    assert details["per_frame"][0] == 1
    assert not details["size_tracked"]
    value, details = overlap(*moved_piece, "lk")
    assert value > 0.9
    assert details["size_tracked"]


def test_a_box_aside_by_half_its_width_overlaps_by_a_third(moved_piece):
    video, boxes = moved_piece
    aside = boxes.clone()
    aside[:, 1:, 0::2] += ((boxes[:, 1:, 2] - boxes[:, 1:, 0]) / 2)[..., None]
    assert fmean(overlap(video, aside)[1]["per_frame"][1:]) == pytest.approx(1 / 3, abs=0.03)


def test_size_is_followed_by_trackers_that_can(moved_piece):
    factors = torch.linspace(1, 1.4, 8)
    video = zoomed(moved_piece[0][0], factors)
    half = 30 * factors[:, None]
    boxes = torch.cat([64 - half, 64 - half, 64 + half, 64 + half], dim=-1)[None]
    stiff = boxes[:, :1].expand_as(boxes)
    assert overlap(video, boxes, "lk")[0] > 0.95  # they were asked to grow, and did
    assert overlap(video, stiff, "lk")[1]["per_frame"][-1] == pytest.approx(1 / 1.4**2, abs=0.04)  # they were not
