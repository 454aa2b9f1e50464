import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.loss import gaussian_weight, trajectory_loss

SIGMAS = st.none() | st.floats(0.1, 3)


def gaussian(i: int, j: int, h: int, w: int, sigma: float | None) -> float:
    """At the middle of cell (i, j) of a box that spans -1..1, before the peak is made 1."""
    if sigma is None:
        return 1.0
    y, x = (i + 0.5) / h * 2 - 1, (j + 0.5) / w * 2 - 1
    return math.exp(-(y**2) / (2 * sigma**2)) * math.exp(-(x**2) / (2 * sigma**2))


@given(st.integers(1, 9), st.integers(1, 9), SIGMAS)
def test_the_weight_cell_by_cell(h, w, sigma):
    weight = gaussian_weight(h, w, sigma)
    assert weight.shape == (h, w)
    assert weight.max() == 1
    peak = gaussian((h - 1) // 2, (w - 1) // 2, h, w, sigma)
    for i in range(h):
        for j in range(w):
            assert weight[i, j].item() == pytest.approx(gaussian(i, j, h, w, sigma) / peak, rel=1e-4, abs=1e-7)


@given(st.integers(3, 9), st.integers(1, 9), st.floats(0.2, 2), st.floats(1.05, 3))
def test_every_sigma_weighs_differently(h, w, sigma, factor):
    """Also where a box of that size was weighed before, which a careless cache would get wrong."""
    before, after = gaussian_weight(h, w, sigma), gaussian_weight(h, w, sigma * factor)
    assert after.sum() > before.sum()
    assert torch.equal(gaussian_weight(h, w, sigma), before)
    assert torch.equal(gaussian_weight(h, w, None), torch.ones(h, w))


@pytest.mark.parametrize("sigma", [1e-2, 1e-30, 1e-300, 1e30])
def test_extreme_sigmas_have_a_peak_too(sigma):
    for h, w in ((1, 1), (2, 2), (3, 4), (7, 5)):
        weight = gaussian_weight(h, w, sigma)
        assert weight.isfinite().all()
        assert weight.max() == 1


@pytest.mark.parametrize("sigma", [0, -0.4, math.nan])
def test_no_gaussian_has_such_a_sigma(sigma):
    with pytest.raises(InputError, match="sigma"):
        gaussian_weight(3, 3, sigma)


def inside(y: int, x: int, h: int, w: int) -> bool:
    return 0 <= y < h and 0 <= x < w


def slow_terms(features, cells, sigma):
    """Numerator and denominator of each box and frame, cell by cell and channel by channel."""
    frames, channels, h, w = features.shape
    terms, weights = [[0.0] * frames for _ in cells], [[0.0] * frames for _ in cells]
    for n, box in enumerate(cells.tolist()):
        tx0, ty0, tx1, ty1 = box[0]
        th, tw = ty1 - ty0, tx1 - tx0
        for f in range(1, frames):
            x0, y0, x1, y1 = box[f]
            bh, bw = y1 - y0, x1 - x0
            target = torch.empty(channels, th, tw, dtype=features.dtype)  # beyond the map: its nearest cell
            for i in range(th):
                for j in range(tw):
                    target[:, i, j] = features[0, :, min(max(ty0 + i, 0), h - 1), min(max(tx0 + j, 0), w - 1)]
            if (th, tw) != (bh, bw):
                target = F.interpolate(target[None], size=(bh, bw), mode="bilinear", align_corners=False)[0]
            peak = gaussian((bh - 1) // 2, (bw - 1) // 2, bh, bw, sigma)
            for i in range(bh):
                for j in range(bw):
                    source = ty0 + i * th // bh, tx0 + j * tw // bw  # the target's cell that this one comes from
                    if not inside(y0 + i, x0 + j, h, w) or not inside(*source, h, w):
                        continue
                    weight = gaussian(i, j, bh, bw, sigma) / peak
                    error = sum(
                        (features[f, c, y0 + i, x0 + j].item() - target[c, i, j].item()) ** 2 for c in range(channels)
                    )
                    terms[n][f] += weight * error / channels
                    weights[n][f] += weight
    return terms, weights


@st.composite
def problems(draw, resized: bool):
    """Features and boxes that may reach beyond the map, in the first frame too, or leave it altogether later."""
    h, w, frames = draw(st.integers(2, 6)), draw(st.integers(2, 6)), draw(st.integers(2, 4))
    boxes = []
    for _ in range(draw(st.integers(1, 3))):
        x0, y0 = draw(st.integers(-3, w - 1)), draw(st.integers(-3, h - 1))
        x1, y1 = draw(st.integers(max(x0, 0) + 1, w + 2)), draw(st.integers(max(y0, 0) + 1, h + 2))
        box = [(x0, y0, x1, y1)]
        for _ in range(frames - 1):
            dx, dy = draw(st.integers(-w - 2, w + 2)), draw(st.integers(-h - 2, h + 2))
            more = [draw(st.integers(-1, 1)) if resized else 0 for _ in range(2)]
            box.append((x0 + dx, y0 + dy, max(x1 + dx + more[0], x0 + dx + 1), max(y1 + dy + more[1], y0 + dy + 1)))
        boxes.append(box)
    features = torch.randn(frames, 3, h, w, generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return features.double(), torch.tensor(boxes)


def check_against_slow(problem, sigma):
    features, cells = problem
    terms, weights = slow_terms(features, cells, sigma)
    if not sum(map(sum, weights)):
        with pytest.raises(InputError, match="nothing to follow"):
            trajectory_loss(features, cells, sigma)
        return
    loss = trajectory_loss(features, cells, sigma)
    assert loss.total.item() == pytest.approx(sum(map(sum, terms)) / sum(map(sum, weights)), rel=1e-5)
    for n in range(len(cells)):
        assert loss.terms[n].tolist() == pytest.approx(terms[n], rel=1e-5, abs=1e-9)
        assert loss.weights[n].tolist() == pytest.approx(weights[n], rel=1e-5, abs=1e-9)
        for f in range(len(features)):
            mean = loss.mean_errors[n, f].item()
            if weights[n][f]:
                assert mean == pytest.approx(terms[n][f] / weights[n][f], rel=1e-4)
            else:
                assert math.isnan(mean)


@given(problems(resized=False), SIGMAS)
def test_the_loss_cell_by_cell(problem, sigma):
    check_against_slow(problem, sigma)


@given(problems(resized=True), SIGMAS)
def test_the_loss_of_boxes_that_rounding_or_scaling_resized(problem, sigma):
    check_against_slow(problem, sigma)


@given(problems(resized=False), st.floats(0.3, 0.6))
def test_another_sigma_is_another_loss(problem, sigma):
    features, cells = problem
    sides = cells[:, 0, 2:] - cells[:, 0, :2]
    assume((sides.amax(dim=1) > 2).all())  # up to two cells a side are equally far from the middle
    h, w = features.shape[-2:]
    whole = torch.tensor([[[0, 0, w, h]] * len(features)])
    cells = torch.cat([cells, whole])
    terms = [trajectory_loss(features, cells, s) for s in (sigma, 2 * sigma, sigma, None)]
    assert torch.equal(terms[0].total, terms[2].total)
    if max(h, w) > 2:
        assert len({t.total.item() for t in terms}) == 3


@given(problems(resized=False), SIGMAS)
def test_a_pinned_box_on_a_still_picture_costs_nothing(problem, sigma):
    features, cells = problem
    still = features[:1].expand_as(features)
    pinned = cells[:, :1].expand_as(cells)
    loss = trajectory_loss(still, pinned, sigma)
    assert loss.total == 0
    assert (loss.weights[:, 1:] > 0).all()


def test_what_moved_along_the_path_costs_nothing():
    first = torch.randn(5, 6, 9, generator=torch.Generator().manual_seed(0))
    moving = torch.stack([first.roll((f, 2 * f), dims=(1, 2)) for f in range(3)])
    path = torch.tensor([[[1, 1, 4, 3], [3, 2, 6, 4], [5, 3, 8, 5]]])
    assert trajectory_loss(moving, path).total == 0
    assert trajectory_loss(moving, path[:, :1].expand_as(path)).total > 0


@given(problems(resized=True), SIGMAS)
def test_gradient_goes_to_the_boxes_of_later_frames_only(problem, sigma):
    features, cells = problem
    features.requires_grad_()
    try:
        trajectory_loss(features, cells, sigma).total.backward()
    except InputError:
        assume(False)
    assert (features.grad[0] == 0).all()
    covered = torch.zeros_like(features, dtype=torch.bool)
    for box in cells.tolist():
        for f, (x0, y0, x1, y1) in enumerate(box):
            covered[f, :, max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    assert (features.grad[~covered] == 0).all()
    assert (features.grad != 0).any()


def test_the_gradient_of_one_cell():
    features = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    trajectory_loss(features, torch.tensor([[[0, 0, 1, 1], [2, 1, 3, 2]]])).total.backward()
    expected = 2 * (features[1, :, 1, 2] - features[0, :, 0, 0]) / 4
    assert torch.allclose(features.grad[1, :, 1, 2], expected.detach())


def test_boxes_weigh_by_their_cells_and_frames_out_of_sight_do_not_count():
    features = torch.zeros(3, 2, 4, 8)
    features[1:, :, :, 4:] = 3.0  # squared error 9 in the right half, from the second frame on
    left, right = [[0, 0, 2, 2]] * 3, [[4, 0, 8, 4], [4, 0, 8, 4], [50, 0, 54, 4]]
    loss = trajectory_loss(features, torch.tensor([left, right]), None)
    assert loss.weights.tolist() == [[0, 4, 4], [0, 16, 0]]
    assert loss.total.item() == pytest.approx(9 * 16 / 24)
    assert loss.mean_errors[1].nan_to_num(-1).tolist() == [-1, 9, -1]
    assert not loss.mean_errors.requires_grad


def test_bad_input():
    features = torch.zeros(3, 2, 4, 8)
    good = [0, 0, 2, 2]
    with pytest.raises(InputError, match=r"shape \(1, 2, 4\): expected whole cells in 3 frames"):
        trajectory_loss(features, torch.tensor([[good, good]]))
    for beyond in ([8, 0, 9, 2], [-2, 0, 0, 2], [0, 4, 2, 6], [0, -5, 2, 0]):
        with pytest.raises(InputError, match="first frame"):
            trajectory_loss(features, torch.tensor([[good, good, good], [beyond, good, good]]))
        with pytest.raises(InputError, match="nothing to follow"):
            trajectory_loss(features, torch.tensor([[good, beyond, beyond]]))
    with pytest.raises(InputError, match="nothing to follow"):
        trajectory_loss(features, torch.zeros(0, 3, 4, dtype=torch.long))
