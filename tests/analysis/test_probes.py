from dataclasses import replace

import numpy as np
import pytest
import torch

from sgi2v_lab.analysis.clips import toy_clips
from sgi2v_lab.analysis.probes import TARGETS, probe, probe_clips
from sgi2v_lab.errors import InputError
from tests.helpers.tiny import tiny_model

pytestmark = pytest.mark.slow

DICE = np.random.default_rng(0)
GROUPS = torch.arange(8).repeat_interleave(40)


@pytest.fixture(scope="module")
def clips():
    return [*toy_clips(tiny_model(), 12)]


def features_of(truth: np.ndarray) -> torch.Tensor:
    """Five channels, in two of which the truth is planted; one is massive and means nothing."""
    noise = torch.from_numpy(DICE.normal(size=(len(truth), 5))).float()
    noise[:, 4] += 1000
    code = np.unique(truth, return_inverse=True)[1] if truth.dtype.kind == "U" else truth
    planted = torch.from_numpy(np.stack([np.cos(2 * code), np.sin(2 * code)], axis=1)).float()
    return torch.cat([noise, planted, torch.from_numpy(np.asarray(code, dtype=np.float32))[:, None]], dim=1)


def test_planted_classes_are_found_and_shuffled_ones_are_not():
    truth = DICE.choice(["star", "circle", "square"], size=len(GROUPS), p=[0.6, 0.2, 0.2])
    features = features_of(truth)
    found = probe(features, truth, GROUPS)
    assert found.score == 1 and found.measure == "balanced accuracy"
    assert found.chance == pytest.approx(1 / 3)
    assert (found.samples, found.clips) == (320, 8)
    assert probe(features, DICE.permutation(truth), GROUPS).score == pytest.approx(1 / 3, abs=0.12)


def test_planted_numbers_are_found_and_shuffled_ones_are_not():
    truth = DICE.normal(size=len(GROUPS))
    features = features_of(truth)
    found = probe(features, truth, GROUPS)
    assert found.score > 0.9999 and found.measure == "R^2"
    assert -0.1 < found.chance <= 0
    assert probe(features, DICE.permutation(truth), GROUPS).score < 0.05
    both = np.stack([truth, 3 - truth], axis=1)
    assert probe(features, both, GROUPS).score > 0.9999


def test_a_clip_is_never_asked_about_what_it_taught():
    """Features that only name the clip know all of its truth, and nothing of another's."""
    truth = DICE.normal(size=8)[GROUPS.numpy()]
    features = torch.nn.functional.one_hot(GROUPS).float()
    assert probe(features, truth, GROUPS).score < 0.05


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_found_where_it_is_planted(target, clips):
    maps = []
    for clip in clips:
        values, cells = TARGETS[target](clip.world)
        assert len(values) == cells.sum()
        if values.dtype.kind == "U":
            shapes = sorted({name for each in clips for name in each.world.shapes})
            names = {"object": ["background", "object"], "depth": ["behind", "front"], "shape": shapes}[target]
            values = np.stack([values == name for name in names], axis=1)
        planted = torch.zeros(*cells.shape, np.prod(values.shape[1:], dtype=int))
        planted[cells] = torch.from_numpy(np.asarray(values, dtype=np.float32)).view(len(values), planted.shape[-1])
        maps.append(planted.permute(0, 3, 1, 2))
    found = probe_clips(clips, maps, target, places=60, folds=12)
    assert found.score > 0.999 > found.chance + 0.2


def test_truths_are_what_they_say(clips):
    world = next(clip.world for clip in clips if len(clip.world.masks) == 2 and clip.world.masks[1].any())
    depth, cells = TARGETS["depth"](world)
    assert torch.equal(torch.from_numpy(depth == "front"), world.masks[1][cells])
    direction, _ = TARGETS["direction"](world)
    assert np.allclose(np.linalg.norm(direction, axis=1), 1, atol=1e-5)
    speed, _ = TARGETS["speed"](world)
    assert speed.min() >= 0
    single = replace(world, masks=world.masks[:1])
    assert len(TARGETS["depth"](single)[0]) == 0  # nothing to be in front of


def test_bad_input(clips):
    maps = [clip.video for clip in clips]
    with pytest.raises(InputError, match="'colour'.*speed"):
        probe_clips(clips, maps, "colour")
    with pytest.raises(InputError, match="12 clips.*of 11"):
        probe_clips(clips, maps[1:], "speed")
    with pytest.raises(InputError, match="only tracks|but tracks"):
        probe_clips([replace(clips[0], world=None)], maps[:1], "speed")
    with pytest.raises(InputError, match="of 1 clips"):
        probe_clips(clips[:1], maps[:1], "speed")
    truth = np.array(["a", "a", "a", "a", "a", "b"])
    with pytest.raises(InputError, match=r"a 3, b 1"):
        probe(torch.zeros(6, 2), truth, torch.tensor([0, 0, 1, 1, 2, 2]))
    with pytest.raises(InputError, match="6 features, 5 true values"):
        probe(torch.zeros(6, 2), truth[:5], torch.arange(6))
