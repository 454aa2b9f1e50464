import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.geometry import EASINGS, numbers, walk
from sgi2v_lab.trajectories.trajectory import KeyBox, Trajectory

# strategies build objects whose types are checked, and the checker looks at list items drawn at random
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

coordinates = st.floats(-2000, 2000, width=32)
sides = st.floats(0.5, 500, width=32)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), coordinates, coordinates, sides, sides)
points = st.tuples(coordinates, coordinates)
easings = st.sampled_from(sorted(EASINGS))
frame_counts = st.integers(1, 25)
BOX = (10.0, 20.0, 30.0, 60.0)


@st.composite
def key_trajectories(draw):
    times = draw(st.lists(st.integers(0, 100), min_size=1, max_size=5, unique=True).map(sorted))
    keys = tuple(KeyBox(t / 100, draw(boxes), draw(st.none() | easings)) for t in times)
    return Trajectory(keys, easing=draw(easings))


def centres(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


@pytest.mark.parametrize("easing", EASINGS.values(), ids=EASINGS)
def test_easings_rise_from_exactly_0_to_exactly_1(easing):
    t = np.linspace(0, 1, 101)
    assert easing(t)[0] == 0 and easing(t)[-1] == 1
    assert (np.diff(easing(t)) > 0).all()


def test_easings_are_what_their_names_say():
    early, late = np.array([0.1]), np.array([0.9])
    assert EASINGS["ease-in"](early) < early and EASINGS["ease-out"](early) > early
    assert EASINGS["ease-in-out"](early) < early and EASINGS["ease-in-out"](late) > late


@given(key_trajectories(), frame_counts)
def test_first_frame_is_the_first_key(trajectory, num_frames):
    found = trajectory.boxes(num_frames)
    assert found.shape == (num_frames, 4) and found.dtype == torch.float32
    assert torch.equal(found[0], torch.tensor(trajectory.keys[0].box))


@given(boxes, st.lists(points, min_size=2, max_size=6), st.floats(0.5, 2), easings, st.floats(0, 0.4))
def test_first_and_last_frame_of_a_path(box, line, scale, easing, start):
    trajectory = Trajectory.along(box, line, scale=scale, easing=easing, start=start, end=0.9)
    found = trajectory.boxes(9).double()
    assert torch.equal(found[0].float(), torch.tensor(box))
    assert torch.allclose(found[-1], torch.tensor(trajectory.keys[-1].box).double(), atol=1e-2)
    travelled = centres(found)[-1] - centres(found)[0]
    assert torch.allclose(travelled, torch.tensor(line[-1]).double() - torch.tensor(line[0]).double(), atol=1e-2)


@given(key_trajectories(), frame_counts)
def test_boxes_lie_in_the_hull_of_the_keys(trajectory, num_frames):
    found = trajectory.boxes(num_frames)
    keys = torch.tensor([key.box for key in trajectory.keys])
    assert (found >= keys.amin(0) - 1e-3).all() and (found <= keys.amax(0) + 1e-3).all()
    assert (found[:, 2:] > found[:, :2]).all()


@given(boxes, st.tuples(st.floats(1, 500), st.floats(1, 500)), easings)
def test_progress_never_goes_back(box, by, easing):
    found = Trajectory.move(box, by=by, easing=easing).at(np.linspace(0, 1, 50))
    assert (found.diff(dim=0) > 0).all()


@given(key_trajectories())
def test_key_boxes_are_met_at_their_times(trajectory):
    found = trajectory.at([key.time for key in trajectory.keys])
    assert torch.allclose(found, torch.tensor([key.box for key in trajectory.keys], dtype=torch.float64))


@given(key_trajectories())
def test_it_waits_before_the_first_key_and_after_the_last(trajectory):
    first, last = trajectory.keys[0], trajectory.keys[-1]
    found = trajectory.at([first.time / 2, (1 + last.time) / 2])
    assert torch.equal(found, torch.tensor([first.box, last.box], dtype=torch.float64))


@given(st.lists(points, min_size=2, max_size=8), st.integers(2, 40))
def test_walking_a_line_is_at_constant_speed(line, steps):
    # measured along the line by cutting it into straight pieces at the corners passed
    progress = np.linspace(0, 1, steps)
    fractions = _corner_fractions(line)
    total = sum(math.dist(a, b) for a, b in pairwise(line))
    for a, b in pairwise(progress):
        stops = np.array([a, *(f for f in fractions if a < f < b), b])
        places = walk(line, stops)
        piece = np.hypot(*np.diff(places, axis=0).T).sum()
        assert piece == pytest.approx(total * (b - a), abs=1e-6 * (1 + total))


def _corner_fractions(line):
    lengths = [math.dist(a, b) for a, b in pairwise(line)]
    return [sum(lengths[: i + 1]) / (sum(lengths) or 1) for i in range(len(lengths))]


def test_a_path_round_a_corner():
    found = Trajectory.move((0, 0, 2, 2), via=[(31, 1)], to=(31, 11)).boxes(5)
    assert centres(found).tolist() == [[1, 1], [11, 1], [21, 1], [31, 1], [31, 11]]


def test_a_path_of_no_length_stays():
    found = Trajectory.along(BOX, [(5, 5), (5, 5)]).boxes(4)
    assert torch.equal(found, torch.tensor(BOX).expand(4, 4))


def test_a_path_beside_the_box_is_shifted_to_it():
    found = Trajectory.along((0, 0, 10, 10), [(100, 100), (120, 100)]).boxes(3)
    assert centres(found).tolist() == [[5, 5], [15, 5], [25, 5]]


def test_move_to_a_point_by_a_step_and_to_a_box():
    to = Trajectory.move(BOX, to=(120, 40)).boxes(8)
    assert torch.equal(to, Trajectory.move(BOX, by=(100, 0)).boxes(8))
    for box in ((110, 20, 130, 60), torch.tensor([110, 20, 130, 60]), np.array([110, 20, 130, 60])):
        assert torch.equal(to, Trajectory.move(BOX, to=box).boxes(8))
    assert torch.equal(to, Trajectory.move(BOX, via=[(120, 40)]).boxes(8))


def test_scale_keeps_the_centre_and_can_stand_alone():
    found = Trajectory.move(BOX, scale=2).boxes(3)
    assert found[-1].tolist() == [0, 0, 40, 80]
    assert torch.equal(centres(found), torch.tensor([20.0, 40.0]).expand(3, 2))
    both = Trajectory.move(BOX, to=(120, 40), via=[(70, 90)], scale=0.5).boxes(6)
    assert both[-1].tolist() == pytest.approx([115, 30, 125, 50])


def test_easing_per_key_overrides_the_trajectory():
    keys = (KeyBox(0, (0, 0, 4, 4), "ease-in"), KeyBox(0.5, (8, 0, 12, 4)), KeyBox(1, (16, 0, 20, 4)))
    assert Trajectory(keys).boxes(5)[:, 0].tolist() == [0, 2, 8, 12, 16]
    assert Trajectory(keys, easing="ease-out").boxes(5)[:, 0].tolist() == [0, 2, 8, 14, 16]


def test_start_and_end_say_when_it_travels():
    found = Trajectory.move((0, 0, 4, 4), by=(8, 0), start=0.25, end=0.75).boxes(5)
    assert found[:, 0].tolist() == [0, 0, 4, 8, 8]


@given(boxes, frame_counts)
def test_a_pinned_box_stays(box, num_frames):
    pinned = Trajectory.pin(box)
    assert pinned.pinned and not Trajectory.move(box, by=(1, 0)).pinned
    assert torch.equal(pinned.boxes(num_frames), torch.tensor(box).expand(num_frames, 4))


@given(st.lists(boxes, min_size=1, max_size=25))
def test_boxes_given_frame_by_frame_come_back_exactly(each):
    given_boxes = torch.tensor(each)
    assert torch.equal(Trajectory.from_boxes(given_boxes).boxes(len(each)), given_boxes)


def test_other_frame_counts_must_be_allowed():
    given_boxes = torch.tensor([[0.0, 0, 4, 4], [8, 0, 12, 4], [8, 8, 12, 12]])
    fixed = Trajectory.from_boxes(given_boxes, name="ball")
    with pytest.raises(InputError, match="'ball' was given for 3 frames but 5 are asked for"):
        fixed.boxes(5)
    resampled = fixed.resampled().boxes(5)
    assert torch.equal(resampled, Trajectory.from_boxes(given_boxes, resample=True).boxes(5))
    assert torch.equal(resampled[::2], given_boxes) and resampled[1].tolist() == [4, 0, 8, 4]


def test_the_same_motion_at_other_frame_counts():
    ball = Trajectory.move(BOX, via=[(50, 50)], to=(90, 10), easing="ease-in-out")
    assert torch.equal(ball.boxes(8)[::7], ball.boxes(25)[::24])
    assert torch.allclose(ball.boxes(13), ball.boxes(25)[::2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trajectory.pin((0, 0, math.nan, 4)), "finite"),
        (lambda: Trajectory.pin((0, 0, math.inf, 4)), "finite"),
        (lambda: Trajectory.pin((0, 0, 1e7, 4)), "within"),
        (lambda: Trajectory.pin((0, 0, 4)), "has 3 numbers: expected 4"),
        (lambda: Trajectory.pin((4, 0, 4, 4)), r"\(4, 0, 4, 4\): expected x0 < x1"),
        (lambda: Trajectory.pin((0, 4, 4, 0)), "x0 < x1 and y0 < y1"),
        (lambda: Trajectory.pin(BOX, colour="blue"), "colour 'blue'"),
        (lambda: Trajectory.move(BOX), "nowhere to go"),
        (lambda: Trajectory.move(BOX, to=(1, 2), by=(3, 4)), "both to= and by="),
        (lambda: Trajectory.move(BOX, to=(1, 2, 3)), "has 3 numbers: expected 2"),
        (lambda: Trajectory.move(BOX, to=(1, 2, 3, 4), scale=2), "whole box and scale"),
        (lambda: Trajectory.move(BOX, by=(math.nan, 4)), "finite"),
        (lambda: Trajectory.move(BOX, by=(1, 0), scale=0), "scale is 0"),
        (lambda: Trajectory.move(BOX, by=(1, 0), scale=math.inf), "scale is inf"),
        (lambda: Trajectory.move(BOX, by=(1, 0), easing="bouncy"), "unknown easing 'bouncy': expected one of linear"),
        (lambda: Trajectory.move(BOX, by=(1, 0), start=0.5, end=0.5), "time 0.5 twice"),
        (lambda: Trajectory.move(BOX, by=(1, 0), start=0.5, end=0.2), "rising times"),
        (lambda: Trajectory.move(BOX, by=(1, 0), end=1.5), "time 1.5: expected 0"),
        (lambda: Trajectory.move(BOX, by=(1, 0), start=-0.5), "time -0.5"),
        (lambda: Trajectory.along(BOX, [(1, 2)]), "1 points: expected at least 2"),
        (lambda: Trajectory.along(BOX, [(1, 2), (math.nan, 2)]), "finite"),
        (lambda: Trajectory((KeyBox(0, BOX), KeyBox(1, BOX)), path=((0.0, 1.0),)), "path of 1 points"),
        (lambda: Trajectory((KeyBox(0, BOX),), path=((0.0, 1.0), (1.0, 1.0))), "a path and 1 key boxes"),
        (lambda: Trajectory(()), "no key box"),
        (lambda: Trajectory((KeyBox(0, BOX),), frames=0), "frame count of a trajectory is 0"),
        (lambda: KeyBox(0, BOX, "bouncy"), "unknown easing"),
        (lambda: KeyBox(math.nan, BOX), "finite"),
        (lambda: Trajectory.from_boxes(torch.zeros(0, 4)), "no key box"),
        (lambda: Trajectory.from_boxes(torch.tensor([BOX, (0, 0, 0, 1)])), "box in frame 1"),
        (lambda: Trajectory.pin(BOX).boxes(0), "number of frames is 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [["1", 2], [True, 2], [None, 2], [[1], 2], [10**400, 2]])
def test_numbers_are_numbers(values):
    with pytest.raises(InputError, match="expected 2 numbers"):
        numbers(values, 2, "a point")


def test_numbers_come_from_arrays_and_tensors():
    assert numbers(np.array([1, 2]), 2, "a point") == numbers(torch.tensor([1.0, 2.0]), 2, "a point") == (1.0, 2.0)
