import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.camera import camera_pan, camera_still, camera_zoom

SIZE = (160, 96)
grids = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(grids, st.floats(0.01, 1), st.tuples(st.floats(-200, 200), st.floats(-200, 200)))
def test_pan_moves_every_box_alike_from_inside_the_picture(grid, fraction, by):
    boxes = Trajectories(SIZE, camera_pan(SIZE, by, grid=grid, box_fraction=fraction)).boxes(8)
    assert len(boxes) == grid[0] * grid[1]
    assert (boxes[:, 0] >= 0).all() and (boxes[:, 0] <= torch.tensor(SIZE * 2) + 1e-3).all()
    sides = boxes[:, 0, 2:] - boxes[:, 0, :2]
    assert torch.allclose(sides, fraction * torch.tensor(SIZE).expand_as(sides), atol=1e-3)
    moved = boxes[:, -1] - boxes[:, 0]
    assert torch.allclose(moved, torch.tensor(by * 2).float().expand_as(moved), atol=1e-3)


@given(grids, st.floats(0.01, 1), st.floats(0.2, 4))
def test_zoom_scales_about_the_middle(grid, fraction, factor):
    boxes = Trajectories(SIZE, camera_zoom(SIZE, factor, grid=grid, box_fraction=fraction)).boxes(8)
    middle = torch.tensor([80.0, 48.0] * 2)
    assert torch.allclose(boxes[:, -1] - middle, factor * (boxes[:, 0] - middle), atol=1e-3)


def test_still_boxes_stay():
    assert all(trajectory.pinned for trajectory in camera_still(SIZE))
    assert len(camera_still(SIZE, grid=(4, 2))) == 8


def test_grid_covers_the_picture_evenly():
    first = Trajectories(SIZE, camera_still(SIZE, grid=(2, 1), box_fraction=0.25)).boxes(1)[:, 0]
    assert first.tolist() == [[20, 36, 60, 60], [100, 36, 140, 60]]


def test_boxes_keep_clear_of_objects_all_the_time():
    ball = Trajectory.move((10, 10, 40, 30), by=(100, 50))
    hill = (120, 60, 150, 90)
    moves = camera_pan(SIZE, (30, 0), grid=(5, 3), box_fraction=0.12, avoid=[ball, hill])
    assert 0 < len(moves) < 15
    boxes = Trajectories(SIZE, moves).boxes(25)
    for other in (ball.boxes(25), Trajectory.pin(hill).boxes(25)):
        apart = (boxes[..., 2:] <= other[:, :2]) | (boxes[..., :2] >= other[:, 2:])
        assert apart.any(dim=-1).all()


def test_names_and_colours_tell_camera_boxes_apart():
    moves = camera_zoom(SIZE, 1.5)
    assert len({move.name for move in moves}) == 9 and len({move.colour for move in moves}) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: camera_pan(SIZE, (math.nan, 0)), "finite"),
        (lambda: camera_pan(SIZE, (10, 0), grid=(0, 3)), "grid of camera boxes"),
        (lambda: camera_pan(SIZE, (10, 0), box_fraction=0.0), "box_fraction is 0"),
        (lambda: camera_pan(SIZE, (10, 0), box_fraction=1.5), "box_fraction is 1.5"),
        (lambda: camera_pan((0, 10), (10, 0)), "the picture's size"),
        (lambda: camera_pan(SIZE, (10, 0), easing="bouncy"), "unknown easing"),
        (lambda: camera_zoom(SIZE, 0.0), "zoom factor is 0"),
        (lambda: camera_zoom(SIZE, math.inf), "zoom factor is inf"),
        (lambda: camera_still(SIZE, avoid=[(0, 0, *SIZE)]), "no camera box keeps clear of the 1 boxes"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
