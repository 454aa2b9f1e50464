"""Matching accuracy, on made-up features and on a scene."""

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.matching import match_scene, matching_accuracy
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from tests.helpers.tiny import SETTINGS, tiny_model


def moving_square(frames=3, h=6, w=8):
    """Features 1 inside a 2 x 2 square that moves right by a cell per frame, and its cells; everything is distinct."""
    features = torch.zeros(frames, h * w + 4, h, w)
    cells = torch.tensor([[[f, 1, f + 2, 3] for f in range(frames)]])
    for f, (x0, y0, x1, y1) in enumerate(cells[0].tolist()):
        features[f, : h * w] = torch.eye(h * w).view(h * w, h, w)
        features[f, :, y0:y1, x0:x1] = 0
        features[f, h * w :, y0:y1, x0:x1] = torch.eye(4).view(4, 2, 2)
    return features, cells


def test_features_that_move_with_the_box_all_match():
    features, cells = moving_square()
    right, chance = matching_accuracy(features, cells)
    assert right == 1 and chance == pytest.approx(4 / 48)


def test_features_that_stay_match_only_where_the_boxes_overlap():
    still = torch.eye(48).view(1, 48, 6, 8).expand(3, -1, -1, -1)
    _, cells = moving_square()
    right, _ = matching_accuracy(still, cells)
    assert right == pytest.approx(
        (0.5 + 0.0) / 2
    )  # two of four cells are in the box of frame 1, none in that of frame 2


def test_length_of_features_does_not_matter_but_direction_does():
    features, cells = moving_square()
    assert matching_accuracy(features * torch.rand(3, 1, 6, 8).add(0.1), cells)[0] == 1
    assert matching_accuracy(features.flip(0), cells)[0] < 1


def test_boxes_that_do_not_fit_are_refused():
    features, cells = moving_square()
    with pytest.raises(InputError, match="2 frames"):
        matching_accuracy(features, cells[:, :2])
    with pytest.raises(InputError, match="nothing to match"):
        matching_accuracy(features, cells + 100)


def test_a_scene_is_matched_at_the_noise_level_of_a_step():
    (scene,) = benchmark_scenes(["single"], 1)
    found = match_scene(tiny_model(), scene, 1, "aligned", SETTINGS)
    assert 0 <= found.accuracy <= 1 and 0 < found.chance < 1 and found.sigma > 0
    assert match_scene(tiny_model(), scene, 1, "aligned", SETTINGS) == found
