import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory, latent_cells

# strategies build objects whose types are checked, and the checker looks at list items drawn at random
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

SIZE = (128, 96)
inside_x, inside_y = st.floats(0, 120, width=32), st.floats(0, 88, width=32)
starts = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), inside_x, inside_y, st.floats(1, 60), st.floats(1, 60))
steps = st.tuples(st.floats(-300, 300), st.floats(-300, 300))
moves = st.builds(lambda box, by: Trajectory.move(box, by=by), starts, steps)
BALL = Trajectory.move((10, 20, 30, 40), by=(60, 0), name="ball")
HILL = Trajectory.pin((80, 50, 120, 90))


def test_boxes_of_all_trajectories():
    both = Trajectories(SIZE, (BALL, HILL))
    assert len(both) == 2 and list(both) == [BALL, HILL] and both[1] is HILL
    found = both.boxes(8)
    assert found.shape == (2, 8, 4)
    assert torch.equal(found[0], BALL.boxes(8)) and torch.equal(found[1], HILL.boxes(8))


def test_none_yet():
    assert Trajectories(SIZE).boxes(8).shape == (0, 8, 4)


@given(st.lists(moves, min_size=1, max_size=4), st.sampled_from(["stretch", "crop", "pad"]))
def test_fitting_commutes_with_making_boxes(several, how):
    trajectories = Trajectories(SIZE, tuple(several))
    fit = Fit.plan(SIZE, (256, 256), how)
    fitted = trajectories.fitted(fit)
    assert fitted.image_size == (256, 256)
    assert torch.allclose(fitted.boxes(8), fit.apply(trajectories.boxes(8)), atol=1e-3)


def test_fitting_carries_the_path():
    trajectories = Trajectories((100, 100), (Trajectory.along((0, 0, 20, 20), [(10, 10), (50, 10)]),))
    fit = Fit.plan((100, 100), (300, 300))
    assert torch.allclose(trajectories.fitted(fit).boxes(5), fit.apply(trajectories.boxes(5)))


def test_fitting_another_picture_is_refused():
    with pytest.raises(InputError, match="128 x 96 pixels but the one fitted has 64 x 64"):
        Trajectories(SIZE, (BALL,)).fitted(Fit.plan((64, 64), (128, 128)))


def test_from_boxes_round_trip_and_resampling():
    boxes = torch.stack([BALL.boxes(8), HILL.boxes(8)])
    fixed = Trajectories.from_boxes(SIZE, boxes)
    assert torch.equal(fixed.boxes(8), boxes)
    fixed.validate(8)
    with pytest.raises(InputError, match="given for 8 frames but 14"):
        fixed.validate(14)
    assert fixed.resampled().boxes(14).shape == (2, 14, 4)


def test_validate_accepts_what_only_reaches_out_or_leaves():
    leaving = Trajectory.move((100, 10, 140, 30), by=(500, 0))
    Trajectories(SIZE, (BALL, HILL, leaving)).validate(8)


@pytest.mark.parametrize("box", [(128, 0, 140, 20), (-20, 0, 0, 20), (0, 96, 20, 99), (0, -9, 20, 0)])
def test_validate_refuses_a_start_outside(box):
    with pytest.raises(InputError, match=r"box 1 .*wholly outside the picture of 128 x 96 pixels"):
        Trajectories(SIZE, (HILL, Trajectory.pin(box, name="lost"))).validate(8)


def test_validate_refuses_nothing_to_do():
    with pytest.raises(InputError, match="no trajectories"):
        Trajectories(SIZE).validate(8)


def test_picture_size_must_be_one():
    with pytest.raises(InputError, match=r"\(0, 96\)"):
        Trajectories((0, 96))


# --- latent cells ----------------------------------------------------------------------------------------------------


def test_cells_are_the_floor_of_the_coordinates():
    boxes = torch.tensor([[[15.9, 16, 40, 31.9], [-1, -9, 23, 7], [200, 0, 300, 50]]])
    expected = [[[1, 2, 5, 3], [-1, -2, 2, 0], [25, 0, 37, 6]]]
    found = latent_cells(boxes, 8, 16, 16)
    assert found.dtype == torch.int64 and found.tolist() == expected


def test_a_box_within_a_cell_is_that_cell():
    assert latent_cells(torch.tensor([[[9.0, 17, 11, 18]]]), 8, 16, 16).tolist() == [[[1, 2, 2, 3]]]


@given(st.lists(moves, min_size=1, max_size=3), st.sampled_from([4, 8, 16]))
def test_cells_are_never_empty_and_start_where_the_box_does(several, factor):
    boxes = Trajectories(SIZE, tuple(several)).boxes(8)
    cells = latent_cells(boxes, factor, 96 // factor, 128 // factor)
    assert (cells[..., 2:] - cells[..., :2] >= 1).all()
    # the box's top-left corner is in its first cell, and the cells end less than a cell before the box or after it
    offset = boxes.double() - cells * factor
    assert (offset[..., :2] >= 0).all() and (offset[..., :2] < factor).all()
    assert (offset[..., 2:].abs() <= factor).all()


@given(starts, st.integers(-40, 40), st.integers(-40, 40))
def test_whole_cells_of_motion_keep_the_size(box, dx, dy):
    shift = torch.tensor([dx, dy, dx, dy])
    here = torch.tensor(box, dtype=torch.float64)
    cells = latent_cells(torch.stack([here, here + 8 * shift])[None], 8, 12, 16)[0]
    assert torch.equal(cells[1], cells[0] + shift)


@pytest.mark.parametrize("box", [(128, 0, 140, 20), (0, 96, 20, 120), (-20, 0, 5, 20), (0, -30, 9, 0)])
def test_no_cell_in_the_first_frame_is_an_error_but_later_ones_are_not(box):
    boxes = torch.tensor([[(0.0, 0, 20, 20), box]])
    assert latent_cells(boxes, 8, 12, 16).shape == (1, 2, 4)
    with pytest.raises(InputError, match=r"box 0 starts at .* no cell of the 16 x 12 latent grid"):
        latent_cells(boxes.flip(1), 8, 12, 16)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e12])
def test_cells_of_absurd_coordinates(value):
    with pytest.raises(InputError, match="not finite or absurdly large"):
        latent_cells(torch.tensor([[[0, 0, value, 5]]]), 8, 12, 16)


def test_cells_need_a_grid():
    with pytest.raises(InputError, match="factor 0"):
        latent_cells(torch.tensor([[[0.0, 0, 5, 5]]]), 0, 12, 16)
