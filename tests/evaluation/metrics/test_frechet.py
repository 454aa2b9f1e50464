import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.frechet import (
    frechet_distance,
    frechet_ratio,
    squared_frechet,
    toy_features,
)
from sgi2v_lab.toy.training.clip_network import HARMS, harm
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes

pytestmark = pytest.mark.slow

CLIPS = 48
SCENES = [sample_scene(seed) for seed in range(HELD_OUT, HELD_OUT + 2 * CLIPS)]


@pytest.fixture(scope="module")
def clips():
    return [render(scene, 64) for scene in SCENES]


@pytest.fixture(scope="module")
def true_features(clips):
    return toy_features(clips)


def table(n, k, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(k, k, generator=generator, dtype=torch.float64)
    return scale * torch.randn(n, k, generator=generator, dtype=torch.float64) @ mix + torch.arange(k) * 0.1


def distance(a, b):
    return squared_frechet(a.double(), b.double()).item()


# --- the formula -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 20), st.integers(0, 20), st.integers(0, 1000))
def test_agrees_with_the_formula_as_it_is_printed(k, more, still_more, seed):
    a, b = table(k + 2 + more, k, seed), table(k + 2 + still_more, k, seed + 1, scale=2.0)
    sa, sb = (np.atleast_2d(np.cov(x.numpy(), rowvar=False)) for x in (a, b))
    between = (a.mean(0) - b.mean(0)).square().sum().item()
    reference = between + np.trace(sa + sb - 2 * sqrtm(sa @ sb).real)
    assert distance(a, b) == pytest.approx(reference, rel=1e-5, abs=1e-5)


def test_equal_sets_are_at_distance_zero():
    a = table(40, 8)
    assert distance(a, a.clone()) == pytest.approx(0, abs=1e-9)
    assert distance(a, a[torch.randperm(40)]) == pytest.approx(0, abs=1e-9)  # a set has no order


def test_what_is_known_in_closed_form():
    a, step = table(40, 8), torch.linspace(-1, 2, 8)
    assert distance(a, a + step) == pytest.approx(step.square().sum().item(), rel=1e-6)
    spread = a.T.cov().trace().item()
    larger = a.mean(0) + 3 * (a - a.mean(0))
    assert distance(a, larger) == pytest.approx((3 - 1) ** 2 * spread, rel=1e-6)


def test_is_symmetric():
    a, b = table(30, 6, 1), table(50, 6, 2)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)


# --- the features ----------------------------------------------------------------------------------------------------


def test_features_are_nearly_white_over_true_clips(true_features):
    assert true_features.shape == (2 * CLIPS, 32)  # of scenes that they were not whitened on
    assert true_features.mean(0).abs().mean() < 0.25
    assert 0.8 < true_features.std(0).mean() < 1.25
    correlation = true_features.T.corrcoef() - torch.eye(32)
    assert correlation.abs().mean() < 0.15


def test_a_clip_has_the_features_that_it_has_among_others(clips, true_features):
    assert torch.allclose(toy_features(clips[40:41])[0], true_features[40], atol=1e-4)
    assert torch.allclose(toy_features(torch.stack(clips[40:43])), true_features[40:43], atol=1e-4)


# --- what it sees ----------------------------------------------------------------------------------------------------


def leave_ghosts(clip, strength, scene, generator):
    """A copy of each sprite stays where it was at the start."""
    mask = torch.zeros(64, 64)
    for x0, y0, x1, y1 in true_boxes(scene, 64)[:, 0].round().long().clamp(0, 64).tolist():
        mask[y0:y1, x0:x1] = strength
    return torch.lerp(clip, clip[:1].expand_as(clip), mask)


def shuffle_frames(clip, strength, scene, generator):
    """A share of the frames change places."""
    moved = torch.randperm(len(clip), generator=generator)[: round(strength * len(clip))]
    order = torch.arange(len(clip))
    order[moved] = moved.roll(1)
    return clip[order]


def shift_colors(clip, strength, scene, generator):
    """Redder, and less blue."""
    return (clip * torch.tensor([1 + strength / 2, 1, 1 - strength / 2]).view(3, 1, 1)).clamp(0, 1)


def freeze(clip, strength, scene, generator):
    """Everything stops before the end."""
    return clip[torch.arange(len(clip)).clamp(max=round((1 - strength) * (len(clip) - 1)))]


def taught(kind):
    return lambda clip, strength, scene, generator: harm(clip, kind, strength, generator)


SPOILERS = {
    **{kind: taught(kind) for kind in HARMS},  # the network learned to notice these ...
    **{f.__name__: f for f in (leave_ghosts, shuffle_frames, shift_colors, freeze)},  # ... and never saw these
}


@pytest.mark.parametrize("name", SPOILERS)
def test_grows_with(name, clips, true_features):
    distances = [0.0]
    for strength in (0.25, 0.5, 1.0):
        generator = torch.Generator().manual_seed(1)
        pairs = zip(clips[:CLIPS], SCENES[:CLIPS], strict=True)
        spoilt = [SPOILERS[name](clip, strength, scene, generator) for clip, scene in pairs]
        distances.append(distance(true_features[:CLIPS], toy_features(spoilt)))
    assert distances == sorted(distances) and distances[1] > 0.01
    assert distances[-1] > 3 * distances[1]


def test_falls_with_the_number_of_true_clips(true_features):
    def floor(n):
        orders = [torch.randperm(2 * CLIPS, generator=torch.Generator().manual_seed(i)) for i in range(10)]
        return sum(distance(true_features[o[:n]], true_features[o[n : 2 * n]]) for o in orders) / len(orders)

    assert floor(32) > floor(40) > floor(48) > 0


# --- what it refuses -------------------------------------------------------------------------------------------------


def test_too_few_clips_are_refused(clips):
    with pytest.raises(InputError, match="real holds 31 clips: expected at least as many as features, 32"):
        frechet_distance(clips[:31], clips)
    with pytest.raises(InputError, match="generated holds 2 clips"):
        frechet_distance(clips, clips[:2])


def test_sets_that_do_not_compare_are_refused(clips):
    with pytest.raises(InputError, match="do not compare"):
        frechet_distance(clips[:32], [clip[:, :, :48] for clip in clips[:32]])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "0 clips of shapes"),
        ([torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 9)], "one shape"),
        ([torch.zeros(0, 3, 8, 8)], "do not compare"),
        ([torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), float("nan"))], "clip 2 has values nan"),
        ([torch.full((2, 3, 8, 8), -1.0)], "clip 1 has values -1"),
        ([torch.full((2, 3, 8, 8), 255.0)], "expected 0..1"),
    ],
)
def test_bad_clips_are_refused(bad, message):
    with pytest.raises(InputError, match=message):
        toy_features(bad)


# --- the ratio of two distances --------------------------------------------------------------------------------------


def ratio(real, made, baseline, scenes=None):
    return frechet_ratio(real, made, baseline, range(len(real)) if scenes is None else scenes)


def test_the_ratio_of_a_set_to_itself_is_one():
    real, made = table(40, 6, 1), table(40, 6, 2)
    found = ratio(real, made, made.clone())
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_the_interval_is_about_the_ratio_of_the_distances():
    real = table(60, 6, 1)
    noise = torch.randn(60, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    near, far = real + 0.4 + 0.3 * noise, real + 1.0 + 0.5 * noise
    found = ratio(real, near, far)
    assert found.value == pytest.approx(distance(real, near) / distance(real, far))
    assert 0 < found.low < found.value < found.high < 1
    assert found == ratio(real, near, far), "the same sets have the same interval"


def test_scenes_stay_together_when_they_are_drawn():
    # Both sets are off by the same in each scene, but by very unequal amounts: only pairing makes the ratio certain.
    real = table(60, 4, 1)
    off = 5 * torch.rand(60, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64) ** 4
    paired = ratio(real, real + off, real + off * 1.01)
    apart = ratio(real, real + off, (real + off * 1.01).flip(0))
    assert paired.high - paired.low < 0.05
    assert apart.high - apart.low > 2 * (paired.high - paired.low)


def test_clips_of_one_scene_are_drawn_together():
    # As often as it is repeated, a scene is one scene: the interval does not become narrower.
    real, near, far = table(40, 4, 1), table(40, 4, 2), table(40, 4, 3)
    once = ratio(real, near, far)
    thrice = [t.repeat(3, 1) for t in (real, near, far)]
    told, untold = ratio(*thrice, [*range(40)] * 3), ratio(*thrice)
    assert told.value == pytest.approx(once.value, rel=0.05) and told.scenes == 40
    assert told.high / told.low == pytest.approx(once.high / once.low, rel=0.1)
    assert untold.high - untold.low < 0.8 * (told.high - told.low)


def test_a_weight_counts_a_clip_as_often():
    a, b = table(20, 3, 1), table(20, 3, 2)
    often = torch.randint(0, 4, (5, 20), generator=torch.Generator().manual_seed(0))
    expected = [distance(a.repeat_interleave(n, 0), b.repeat_interleave(n, 0)) for n in often]
    assert squared_frechet(a, b, often.double()).tolist() == pytest.approx(expected, rel=1e-6)


def test_where_there_is_nothing_to_compare_there_is_no_ratio():
    real, made = table(40, 6, 1), table(40, 6, 2)
    assert ratio(real, made, real) is None and ratio(real, made, made, ["a"] * 40) is None
