"""Background drift and box overlap, where the truth is known."""

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import background_drift, box_overlap
from sgi2v_lab.evaluation.metrics.drift import camera_motion
from sgi2v_lab.evaluation.metrics.overlap import box_iou
from tests.helpers.known_motion import imposed_clip, photograph_clip
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.camera import camera_pan, camera_zoom

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


# --- drift -----------------------------------------------------------------------------------------------------------


def test_a_background_that_stays_has_not_drifted(moved_piece):
    drift = background_drift(*moved_piece)
    assert drift.value < 0.1
    assert drift.seen > 0.7
    assert (drift.tracker, drift.camera) == ("lk", False)
    assert drift.points < 256  # not those under the boxes


@pytest.mark.parametrize("tracker", ["lk", "dis"])
def test_a_camera_that_nobody_asked_for_is_drift(wandering, tracker):
    video, shift = wandering
    expected = shift[1:].norm(dim=-1).mean().item()
    assert expected > 5
    assert background_drift(video, tracker=tracker).value == pytest.approx(expected, abs=1)


def test_no_object_at_all_leaves_the_whole_picture(wandering):
    video, _ = wandering
    assert background_drift(video, torch.zeros(0, len(video), 4)) == background_drift(video)


def test_a_camera_that_was_asked_for_is_none(wandering):
    video, shift = wandering
    start = torch.tensor([[20.0, 20.0, 40.0, 40.0], [80.0, 70.0, 110.0, 90.0]])
    camera = start[:, None] + shift.repeat(1, 2)
    drift = background_drift(video, camera=camera)
    assert drift.value < 0.5
    assert drift.camera
    off = camera + torch.arange(8.0)[None, :, None]  # asked to go elsewhere by one pixel a frame, along both axes
    assert background_drift(video, camera=off).value == pytest.approx(2**0.5 * 4, abs=1)


def test_a_zoom_that_was_asked_for_is_none(moved_piece):
    factors = torch.linspace(1, 1.4, 8)
    video = zoomed(moved_piece[0][0], factors)
    camera = Trajectories(SIZE, camera_zoom(SIZE, 1.4)).boxes(8)
    assert background_drift(video).value > 5
    assert background_drift(video, camera=camera).value < 0.6


def test_the_objects_themselves_do_not_count(moved_piece):
    video, boxes = moved_piece
    assert background_drift(video, None).value > background_drift(video, boxes).value + 0.5


@pytest.mark.parametrize("moves", [camera_pan(SIZE, by=(30, -12)), camera_zoom(SIZE, 0.7)])
def test_the_cameras_motion_is_that_of_its_boxes(moves):
    boxes = Trajectories(SIZE, moves).boxes(8)
    centers = (boxes[..., :2] + boxes[..., 2:]) / 2
    assert torch.allclose(camera_motion(boxes, centers[:, 0]), centers, atol=1e-3)


def test_where_there_is_no_background_there_is_no_drift(moved_piece):
    video, boxes = moved_piece
    with pytest.raises(InputError, match="cover the whole picture"):
        background_drift(video, torch.tensor([0.0, 0, 128, 128]).expand(1, 8, 4))
    with pytest.raises(InputError, match="too plain"):
        background_drift(torch.full((8, 3, 64, 64), 0.5))
    with pytest.raises(InputError, match="one frame"):
        background_drift(video[:1])
    with pytest.raises(InputError, match="8 frames but the video has 3"):
        background_drift(video[:3], boxes)


# --- overlap ---------------------------------------------------------------------------------------------------------


def test_iou_follows_its_definition():
    a = torch.tensor([[0.0, 0, 2, 2]]).expand(4, 4)
    b = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 4, 4]])
    assert box_iou(a, b).tolist() == pytest.approx([1, 1 / 3, 0, 1 / 4])
    assert torch.equal(box_iou(a, b), box_iou(b, a))


def test_the_true_clip_fills_its_boxes(moved_piece):
    found = box_overlap(*moved_piece)
    assert found.value > 0.95
    assert found.per_frame[0] == 1
    assert not found.size_tracked
    sized = box_overlap(*moved_piece, "lk")
    assert sized.value > 0.9
    assert sized.size_tracked


def test_a_box_aside_by_half_its_width_overlaps_by_a_third(moved_piece):
    video, boxes = moved_piece
    aside = boxes.clone()
    aside[:, 1:, 0::2] += ((boxes[:, 1:, 2] - boxes[:, 1:, 0]) / 2)[..., None]
    assert box_overlap(video, aside).per_frame[1:].mean() == pytest.approx(1 / 3, abs=0.03)


def test_size_is_followed_by_trackers_that_can(moved_piece):
    factors = torch.linspace(1, 1.4, 8)
    video = zoomed(moved_piece[0][0], factors)
    half = 30 * factors[:, None]
    boxes = torch.cat([64 - half, 64 - half, 64 + half, 64 + half], dim=-1)[None]
    stiff = boxes[:, :1].expand_as(boxes)
    assert box_overlap(video, boxes, "lk").value > 0.95  # they were asked to grow, and did
    assert box_overlap(video, stiff, "lk").per_frame[-1] == pytest.approx(1 / 1.4**2, abs=0.04)  # they were not


def test_overlap_refuses_what_objmc_does(moved_piece):
    video, boxes = moved_piece
    with pytest.raises(InputError, match="box overlap needs at least one box"):
        box_overlap(video, boxes[:0])
