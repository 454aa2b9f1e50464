import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import FITS, Fit

sizes = st.tuples(st.integers(1, 3000), st.integers(1, 3000))
fits = st.builds(Fit.plan, sizes, sizes, st.sampled_from(FITS))
places = st.lists(st.tuples(*[st.floats(-5000, 5000)] * 4), min_size=1, max_size=5)


@given(fits, places)
def test_a_box_goes_where_its_corners_go(fit, boxes):
    boxes = torch.tensor(boxes)
    corners = fit.apply(boxes.unflatten(-1, (2, 2)))
    assert torch.equal(fit.apply(boxes), corners.flatten(-2)) and corners.dtype == boxes.dtype


@given(sizes, sizes)
def test_stretch_fills_the_frame_exactly(source, target):
    corners = Fit.plan(source, target).apply(torch.tensor([[0.0, 0.0], source]))
    assert torch.allclose(corners, torch.tensor([(0.0, 0.0), target]).float())


@given(sizes, sizes)
def test_crop_fills_the_frame_with_the_middle_undistorted(source, target):
    fit = Fit.plan(source, target, "crop")
    x0, y0, x1, y1 = fit.apply(torch.tensor([0.0, 0, *source])).tolist()
    assert fit.scale[0] == fit.scale[1]
    assert max(x0, y0) <= 1e-3 and x1 >= target[0] - 1e-3 and y1 >= target[1] - 1e-3
    assert x0 + x1 == pytest.approx(target[0], abs=0.1) and y0 + y1 == pytest.approx(target[1], abs=0.1)
    assert fit.content == pytest.approx((0, 0, *target))


@given(sizes, sizes)
def test_pad_shows_everything_on_whole_pixels(source, target):
    fit = Fit.plan(source, target, "pad")
    x0, y0, x1, y1 = fit.apply(torch.tensor([0.0, 0, *source], dtype=torch.float64)).tolist()
    assert fit.content == pytest.approx((x0, y0, x1, y1))
    assert (x0, y0, x1, y1) == pytest.approx([round(v) for v in (x0, y0, x1, y1)], abs=1e-6)
    assert min(x0, y0) >= 0 and x1 <= target[0] + 1e-6 and y1 <= target[1] + 1e-6
    assert x1 - x0 == pytest.approx(target[0]) or y1 - y0 == pytest.approx(target[1])


def test_wide_into_square():
    wide = torch.tensor([100.0, 50.0])
    assert Fit.plan((200, 100), (100, 100), "stretch").apply(wide).tolist() == [50, 50]
    assert Fit.plan((200, 100), (100, 100), "crop").apply(wide / 2).tolist() == [0, 25]
    assert Fit.plan((200, 100), (100, 100), "pad").apply(wide * 0).tolist() == [0, 25]


def test_inside_means_on_the_picture_not_on_the_bars():
    fit = Fit.plan((200, 100), (100, 100), "pad")
    points = torch.tensor([[50.0, 50], [50, 25], [50, 24], [101, 50]])
    assert fit.inside(points).tolist() == [True, True, False, False]
    boxes = torch.tensor([[0.0, 0, 9, 26], [0, 0, 9, 25], [-9, 30, 0, 40], [90, 70, 120, 80]])
    assert fit.inside(boxes).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fit.plan((10, 10), (0, 10)), "target size is .0, 10."),
        (lambda: Fit.plan((-1, 10), (10, 10)), "source size"),
        (lambda: Fit.plan((10, 10), (10, 10), "zoom"), "'zoom': expected one of stretch, crop, pad"),
        (lambda: Fit((1, 1), (1, 1), (0.0, 1.0), (0.0, 0.0)), "scale > 0"),
        (lambda: Fit((1, 1), (1, 1), (1.0, 1.0), (math.nan, 0.0)), "finite"),
        (lambda: Fit.plan((10, 10), (10, 10)).apply(torch.zeros(2, 3)), "shape .2, 3."),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
