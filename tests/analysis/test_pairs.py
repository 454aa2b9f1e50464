import math

import pytest
import torch

from sgi2v_lab.analysis.pairs import Pairs, cell_middles, sample_at
from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.world.origins import true_origins
from sgi2v_lab.toy.world.random_scenes import sample_scene
from tests.helpers.planted import shifted


def test_what_stays_or_cannot_be_seen_is_left_out():
    origins = shifted(3, 2, 4)
    origins[1, 0, 2] = torch.nan  # behind something
    origins[2, 1, 3] = torch.tensor([3.6 / 4, 0.75])  # moved within its cell
    pairs = Pairs.of_origins(origins)
    cells = {
        (f, round(4 * x - 0.5), round(2 * y - 0.5))
        for f, (x, y) in zip(pairs.frame.tolist(), pairs.here.tolist(), strict=True)
    }
    assert cells == {(1, 1, 0), (1, 3, 0), (1, 1, 1), (1, 2, 1), (1, 3, 1), (2, 2, 0), (2, 3, 0), (2, 2, 1)}
    assert torch.allclose(pairs.here - pairs.origin, torch.stack([pairs.frame / 4, 0 * pairs.frame], dim=1))
    everything = Pairs.of_origins(origins, least_motion=-1)
    assert len(everything) == len(pairs) + 1


def test_tracks_give_the_pairs_of_dense_origins():
    scene, grid = sample_scene(4), (8, 8)
    origins = true_origins(scene, grid)
    dense = Pairs.of_origins(origins)
    points = torch.stack([dense.origin, dense.here], dim=1)  # tracks of two frames each
    tracks = Pairs.of_tracks(points, torch.zeros(len(points), 2, dtype=torch.bool), grid)
    assert len(dense) > 20
    assert torch.equal(tracks.here, dense.here)
    assert torch.equal(tracks.origin, dense.origin)


def test_tracks_count_where_they_are_seen_in_both_frames():
    points = torch.tensor([[[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]]).repeat(3, 1, 1)
    points[2, 2] = 1.2  # outside of the picture
    occluded = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    pairs = Pairs.of_tracks(points, occluded, (4, 4))
    assert pairs.frame.tolist() == [2, 1]
    assert torch.allclose(pairs.here, torch.tensor([[0.9, 0.9], [0.5, 0.5]]))
    with pytest.raises(InputError, match=r"\(3, 3\).*\(3, 2\)"):
        Pairs.of_tracks(points, occluded[:, :2], (4, 4))


@pytest.mark.parametrize("within", [0.5, 1.0, 1.5, 2.0])
def test_chance_is_the_share_of_all_answers_that_are_right(within):
    grid = (3, 5)
    origin = torch.rand(7, 2, generator=torch.Generator().manual_seed(1))
    origin = torch.cat([origin, cell_middles(grid)[[0, 7]]])  # in a corner, and in the middle
    pairs = Pairs(torch.ones(9, dtype=torch.long), torch.zeros(9, 2), origin, grid)
    right = total = 0
    for x, y in origin.tolist():
        for row in range(3):
            for column in range(5):
                apart = max(abs(column + 0.5 - 5 * x), abs(row + 0.5 - 3 * y))
                right, total = right + (apart <= within + 1e-4), total + 1
    assert pairs.chance(within) == pytest.approx(right / total)


def test_no_pairs_have_no_chance():
    assert math.isnan(Pairs.of_origins(shifted(2, 3, 3, columns=0)).chance(1))


def test_maps_are_sampled_at_places():
    maps = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(sample_at(maps, cell_middles((3, 4))), maps.flatten(1).T, atol=1e-6)
    between = sample_at(maps, torch.tensor([[2 / 4, 0.5 / 3]]))
    assert torch.allclose(between[0], (maps[:, 0, 1] + maps[:, 0, 2]) / 2, atol=1e-6)
