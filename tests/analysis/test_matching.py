import math

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.analysis.matching import (
    attention_strength,
    attention_weights,
    cycle_distance,
    find_matches,
    harmonic_mean,
    matching_accuracy,
)
from sgi2v_lab.analysis.pairs import Pairs, cell_middles
from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.world.origins import true_origins
from sgi2v_lab.toy.world.random_scenes import sample_scene
from tests.helpers.planted import features_of, position_code, shifted

WITHIN = (0.5, 1.0, 2.0)


@pytest.mark.parametrize("seed", [4, 7])
def test_features_that_are_the_origins_are_always_right(seed):
    origins = true_origins(sample_scene(seed), 16)
    found = matching_accuracy(features_of(origins), origins)
    assert len(found.error) > 50
    assert found.accuracy == (1, 1, 1)
    assert found.unmoved[0] == 0  # what stays in its cell does not count
    assert 0 < found.chance[0] < found.chance[1] < found.chance[2] < 0.2


def test_shuffled_features_are_at_chance():
    origins = torch.cat([true_origins(sample_scene(seed), 16)[1:] for seed in (4, 7, 8, 11)])
    origins = torch.cat([true_origins(sample_scene(4), 16)[:1], origins])
    maps = features_of(origins)
    generator = torch.Generator().manual_seed(3)
    order = [torch.randperm(256, generator=generator) for _ in maps]
    shuffled = torch.stack([m.flatten(1)[:, o].unflatten(1, (16, 16)) for m, o in zip(maps, order, strict=True)])
    found = matching_accuracy(shuffled, origins)
    for accuracy, chance in zip(found.accuracy, found.chance, strict=True):
        assert accuracy == pytest.approx(chance, abs=4 * math.sqrt(chance / len(found.error)) + 0.005)


def test_a_feature_of_the_place_finds_only_what_stays():
    origins = shifted(3, 6, 6)
    here = position_code(cell_middles((6, 6))).T.view(1, 4, 6, 6).repeat(3, 1, 1, 1)
    found = matching_accuracy(here, origins)
    assert found.accuracy == found.unmoved == (0, pytest.approx(5 / 9), 1)  # a cell in frame 1, two in frame 2


def test_occluded_cells_are_left_out():
    origins = shifted(4, 6, 6)
    maps = features_of(origins)
    maps[2, :, :, 3:] = -maps[2, :, :, 3:]  # wrong ...
    assert matching_accuracy(maps, origins).accuracy[0] < 1
    origins[2, :, 3:] = torch.nan  # ... where there is no truth
    assert matching_accuracy(maps, origins).accuracy == (1, 1, 1)
    found = matching_accuracy(maps, torch.full_like(origins, torch.nan))
    assert len(found.error) == 0 and all(map(math.isnan, found.accuracy))


def test_layers_of_every_size_are_held_to_the_same_cells():
    origins = shifted(2, 8, 8, columns=2)
    here = position_code(cell_middles((4, 4))).T.view(4, 4, 4)
    coarse = torch.stack([here, torch.cat([here[..., :1], here[..., :-1]], dim=-1)])
    found = matching_accuracy(coarse, origins)
    fine = F.interpolate(coarse, (8, 8), mode="bilinear")
    # beyond the outer middles of its cells a coarse map is flat, so that rounding decides between two cells
    assert (found.error == matching_accuracy(fine, origins).error).float().mean() > 0.9
    assert len(found.error) == 8 * 6
    assert found.accuracy[1] == 1


def test_tracks_and_dense_origins_agree():
    origins = true_origins(sample_scene(7), 8)
    maps = torch.randn(8, 5, 8, 8, generator=torch.Generator().manual_seed(4))
    dense = Pairs.of_origins(origins)
    points = torch.full((len(dense), 8, 2), 0.5)
    occluded = torch.ones(len(dense), 8, dtype=torch.bool)
    track = torch.arange(len(dense))
    points[:, 0], points[track, dense.frame] = dense.origin, dense.here
    occluded[:, 0] = occluded[track, dense.frame] = False
    found = matching_accuracy(maps, Pairs.of_tracks(points, occluded, (8, 8)))
    wanted = matching_accuracy(maps, origins)
    assert len(dense) > 20
    assert torch.equal(found.error, wanted.error)
    assert (found.accuracy, found.chance) == (wanted.accuracy, wanted.chance)


def test_queries_and_keys_match_by_their_attention():
    """Head 0 looks at the right place, heads 1 and 2 at the place itself, half as sharply."""
    origins = shifted(3, 6, 6)
    here = position_code(cell_middles((6, 6))).T.view(1, 4, 6, 6).repeat(3, 1, 1, 1)
    key = torch.cat([here, here, here], dim=1)
    query = 900 * torch.cat([features_of(origins), here / 100, here / 100], dim=1)
    assert matching_accuracy(query, origins, keys=key, heads=3).accuracy == (1, 1, 1)
    assert matching_accuracy(query[:, 4:8], origins, keys=key[:, 4:8], heads=1).accuracy[0] == 0
    weights = attention_weights(torch.randn(2, 5, 3), torch.randn(2, 7, 3))
    assert weights.shape == (2, 5, 7) and torch.allclose(weights.sum(dim=-1), torch.ones(2, 5))


def test_strength_of_planted_attention():
    origins = shifted(3, 4, 4)
    pairs = Pairs.of_origins(origins)
    same = attention_strength(torch.zeros(3, 6, 4, 4), torch.zeros(3, 6, 4, 4), pairs, heads=2)
    assert same.confidence == pytest.approx(1 / 48)
    assert same.score == pytest.approx(1 / 3)
    key = position_code(cell_middles((4, 4))).T.view(1, 4, 4, 4).repeat(3, 1, 1, 1)
    key[1:] = -key[1:]  # nobody looks at the later frames
    sharp = attention_strength(1e4 * features_of(origins), key, pairs)
    assert sharp.confidence == pytest.approx(1, abs=1e-4)
    assert sharp.score == pytest.approx(1, abs=1e-4)


def test_cycles_close_where_matches_are_one_to_one():
    still = position_code(cell_middles((5, 6))).T.view(1, 4, 5, 6).repeat(2, 1, 1, 1)
    assert torch.equal(cycle_distance(still), torch.zeros(2, 5, 6))
    still[1, :, :, 3:] = still[1, :, :, :3]  # two cells alike: one of them comes back to the other
    distance = cycle_distance(still)
    assert distance[0].max() == 0
    assert {*distance[1].round(decimals=4).flatten().tolist()} == {0, 3}


def test_the_harmonic_mean_is_that_of_the_scaled_measures():
    accuracy, other = torch.tensor([0.2, 0.4, 0.6]), torch.tensor([5.0, 9.0, 7.0])
    assert torch.allclose(harmonic_mean(accuracy, other), torch.tensor([0, 2 / (2 + 1), 2 / (1 + 2)]))


def test_bad_input():
    origins = shifted(3, 4, 4)
    maps = torch.zeros(2, 6, 4, 4)
    with pytest.raises(InputError, match=r"frame 2.*0\.\.1"):
        matching_accuracy(maps, origins)
    with pytest.raises(InputError, match="6 channels.*4 heads"):
        find_matches(maps, Pairs.of_origins(origins[:2]), keys=maps, heads=4)
